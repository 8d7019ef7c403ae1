// Kraken's hosts are fixed in here, and whom to trust is left to Go.
// It prints the answer of a REST call, and the first message of a WebSocket.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
)

const upgrade = "GET /v2 HTTP/1.1\r\nHost: ws.kraken.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func hear(from io.Reader, size int) []byte {
	heard := make([]byte, size)
	must(io.ReadFull(from, heard))
	return heard
}

func main() {
	answer := must(http.Get("https://api.kraken.com/0/public/Time"))
	fmt.Printf("%s\n", must(io.ReadAll(answer.Body)))

	feed := must(tls.Dial("tcp", "ws.kraken.com:443", nil))
	must(io.WriteString(feed, upgrade))
	reader := bufio.NewReader(feed)
	if answer := must(http.ReadResponse(reader, nil)); answer.StatusCode != 101 {
		log.Fatal(answer.Status)
	}
	head := hear(reader, 2)
	size := int(head[1])
	if size == 126 {
		size = int(binary.BigEndian.Uint16(hear(reader, 2)))
	}
	fmt.Printf("%s\n", hear(reader, size))
}
