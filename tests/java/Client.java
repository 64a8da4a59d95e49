// A client of digits-inference in Java, without a library: sends a picture and prints what is on it.
//
// Usage: java Client.java http://localhost:50052 seven.png

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;

public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/predict?expect=number"))
            .header("Accept", "text/plain")
            .header("Connect-Timeout-Ms", "5000")
            .timeout(Duration.ofSeconds(5))
            .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[1])))
            .build();
        var response = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        if (response.statusCode() != 200) {
            throw new IllegalStateException(response.body());
        }
        System.out.print(response.body());
    }
}
