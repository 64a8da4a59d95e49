// A client of digits-inference in Java over gRPC: sends a picture and prints its label.
//
// Usage: Client HOST:PORT FILE
import com.google.protobuf.ByteString;
import digits.v1.Inference.EncodedPictures;
import digits.v1.Inference.PredictRequest;
import digits.v1.InferenceServiceGrpc;
import io.grpc.ManagedChannelBuilder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
        var client = InferenceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(5, TimeUnit.SECONDS);
        var picture = ByteString.copyFrom(Files.readAllBytes(Path.of(arguments[1])));
        var request = PredictRequest.newBuilder()
            .setPictures(EncodedPictures.newBuilder().addEncoded(picture))
            .build();
        var answer = client.predict(request);
        System.out.println(answer.getPredictions(0).getLabel() + " by version " + answer.getServedBy().getSequence());
        channel.shutdown();
    }
}
