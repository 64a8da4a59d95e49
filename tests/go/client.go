// A client of digits-inference in Go: sends one raw 28 x 28 image and prints its label.
//
// Usage: client ADDRESS FILE, the file being 784 grey bytes on black. docs/clients.md has the commands that generate its messages.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	pb "digits/v1"

	"google.golang.org/grpc"
)

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	image, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client := pb.NewInferenceServiceClient(connection)
	answer, err := client.Predict(ctx, &pb.PredictRequest{Images: &pb.PredictRequest_Pixels{Pixels: image}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Predictions[0].GetLabel(), "by version", answer.ServedBy.Sequence)
}
