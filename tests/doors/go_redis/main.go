// The Go client on the Redis door: what it says and what it must hear, in both versions of the protocol.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func same(what string, got, want any) {
	if fmt.Sprint(got) != fmt.Sprint(want) {
		must(fmt.Errorf("%s: %v, where %v is right", what, got, want))
	}
}

func main() {
	protocol, err := strconv.Atoi(os.Args[2])
	must(err)
	within, done := context.WithTimeout(context.Background(), 20*time.Second)
	defer done()
	client := redis.NewClient(&redis.Options{Addr: os.Args[1], Protocol: protocol})
	defer client.Close()

	pong, err := client.Ping(within).Result()
	must(err)
	same("PING", pong, "PONG")
	must(client.Set(within, "go:word", "hello", time.Minute).Err())
	word, err := client.Get(within, "go:word").Result()
	must(err)
	same("GET", word, "hello")
	_, err = client.Get(within, "go:none").Result()
	same("GET of nothing", err, redis.Nil)
	left, err := client.TTL(within, "go:word").Result()
	must(err)
	same("TTL is left", left > 0 && left <= time.Minute, true)
	must(client.HSet(within, "go:row", "name", "Ann", "age", 40).Err())
	row, err := client.HGetAll(within, "go:row").Result()
	must(err)
	same("HGETALL", row, map[string]string{"name": "Ann", "age": "40"})

	var counted *redis.IntCmd
	_, err = client.TxPipelined(within, func(pipe redis.Pipeliner) error {
		pipe.Set(within, "go:count", 1, 0)
		counted = pipe.IncrBy(within, "go:count", 41)
		return nil
	})
	must(err)
	same("EXEC", counted.Val(), 42)
	keys, _, err := client.Scan(within, 0, "go:*", 1000).Result()
	must(err)
	same("SCAN finds", len(keys), 3)
	err = client.LPush(within, "go:list", 1).Err()
	same("LPUSH is no command", err != nil, true)

	heard := client.Subscribe(within, "go.words")
	defer heard.Close()
	_, err = heard.Receive(within)
	must(err)
	must(heard.PSubscribe(within, "go.*"))
	_, err = heard.Receive(within)
	must(err)
	listeners, err := client.Publish(within, "go.words", "said").Result()
	must(err)
	same("PUBLISH reaches", listeners, 2)
	ways := map[string]bool{}
	for range []int{1, 2} {
		message, err := heard.ReceiveMessage(within)
		must(err)
		same("the payload", message.Payload, "said")
		ways[message.Pattern] = true
	}
	same("by the name and by the pattern", ways, map[string]bool{"": true, "go.*": true})
	must(heard.Ping(within, "still there"))
	answer, err := heard.Receive(within)
	must(err)
	same("PING of a subscriber", answer, "Pong<still there>")
	numbers, err := client.PubSubNumSub(within, "go.words").Result()
	must(err)
	same("PUBSUB NUMSUB", numbers, map[string]int64{"go.words": 1})
	fmt.Println("go-redis passed in RESP", protocol)
}
