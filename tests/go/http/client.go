// A client of digits-inference in Go, without a module: sends a picture and prints its label.
//
// Usage: go run client.go http://localhost:50052 seven.png
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

type answer struct {
	Predictions []struct {
		Label         string    `json:"label"`
		Verdict       string    `json:"verdict"`
		Probabilities []float32 `json:"probabilities"`
	} `json:"predictions"`
	ServedBy struct {
		Sequence int64 `json:"sequence,string"`
	} `json:"servedBy"`
	// Of an error.
	Code    string `json:"code"`
	Message string `json:"message"`
}

func main() {
	picture, err := os.Open(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Post(os.Args[1]+"/v1/predict", "image/png", picture)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var answer answer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		log.Fatal(answer.Code, ": ", answer.Message)
	}
	fmt.Println(answer.Predictions[0].Label, "by version", answer.ServedBy.Sequence)
}
