// Reads a log with golang.org/x/mod and filippo.io/torchwood: checkpoint, cosignature, every entry, proofs.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// main takes the address of the log, its verifier key, and the verifier key of a witness.
func main() {
	base, key, witness := os.Args[1], os.Args[2], os.Args[3]
	answer := must(http.Get(base + "/checkpoint"))
	raw := must(io.ReadAll(answer.Body))

	must(note.Open(raw, note.VerifierList(must(note.NewVerifier(key)))))
	policy := must(torchwood.ParsePolicy([]byte("log " + key + "\nwitness w " + witness + "\nquorum w\n")))
	checkpoint, _, err := torchwood.VerifyCheckpoint(raw, policy)
	must(0, err)

	ctx := context.Background()
	fetcher := must(torchwood.NewTileFetcher(base))
	client := must(torchwood.NewClient(fetcher))
	count := int64(0)
	for range client.AllEntries(ctx, checkpoint.Tree, 0) {
		count++
	}
	must(0, client.Err())

	hashes := torchwood.TileHashReaderWithContext(ctx, checkpoint.Tree, fetcher)
	for _, at := range []int64{0, 1, 255, 256, checkpoint.N / 2, checkpoint.N - 1} {
		_, _, err := client.Entry(ctx, checkpoint.Tree, at)
		must(0, err)
		earlier := must(tlog.TreeHash(at+1, hashes))
		proof := must(tlog.ProveTree(checkpoint.N, at+1, hashes))
		must(0, tlog.CheckTree(proof, checkpoint.N, checkpoint.Hash, at+1, earlier))
	}
	fmt.Println(checkpoint.Origin, checkpoint.N, count)
}
