"""Messages and stubs of the services, generated from `proto/digits/v1/`."""
