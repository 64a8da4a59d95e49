// The switch of libtorch that the bindings lack: whether products of float32 matrices on a GPU may read them as TF32.
// It is the process's; `src/train/tf32.rs` makes it a training's.

#include <ATen/Context.h>

// It stores two values and throws nothing; should that change, the process ends rather than train in another precision.
extern "C" void digits_allow_tf32(bool allowed) noexcept {
    at::globalContext().setAllowTF32CuBLAS(allowed);
}

extern "C" bool digits_tf32_allowed() noexcept {
    return at::globalContext().allowTF32CuBLAS();
}
