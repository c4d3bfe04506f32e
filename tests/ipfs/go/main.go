// An IPFS node made of boxo's parts, which does what it is told, a line at a time.
//
// It says `gateway URL` (trustless, over HTTP) and `listening ADDR` (bitswap, over go-libp2p), and
// takes `load FILE.car` (answer: `loaded ROOT BLOCKS`), `dial ADDR` (`dialled`), `get CID` by bitswap
// alone (`got BYTES SHA256`), `name PATH SECONDS` (`named NAME`: a record of IPNS of a new name, valid
// for so long, which the gateway has), and `rename PATH SECONDS SEQUENCE` (`named NAME`: in its place
// another of the same name). `failed WHY` if it cannot be done. The end of its input ends it.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/ipld/go-car/v2"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
)

const patience = 30 * time.Second

// Records of names, as a DHT has them.
type records struct {
	sync.Mutex
	all map[string][]byte
}

func (r *records) PutValue(_ context.Context, key string, value []byte, _ ...routing.Option) error {
	r.Lock()
	defer r.Unlock()
	r.all[key] = value
	return nil
}

func (r *records) GetValue(_ context.Context, key string, _ ...routing.Option) ([]byte, error) {
	r.Lock()
	defer r.Unlock()
	if value, ok := r.all[key]; ok {
		return value, nil
	}
	return nil, routing.ErrNotFound
}

func (r *records) SearchValue(ctx context.Context, key string, o ...routing.Option) (
	<-chan []byte, error) {
	value, err := r.GetValue(ctx, key, o...)
	found := make(chan []byte, 1)
	if err == nil {
		found <- value
	}
	close(found)
	return found, err
}

type node struct {
	blocks  blockstore.Blockstore
	host    host.Host
	bitswap *bitswap.Bitswap
	names   *records
	key     crypto.PrivKey // of the last name
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newNode(ctx context.Context) *node {
	n := &node{names: &records{all: map[string][]byte{}}}
	n.blocks = blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	var err error
	n.host, err = libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	must(err)
	n.bitswap = bitswap.New(ctx, bsnet.NewFromIpfsHost(n.host), nil, n.blocks)
	fmt.Printf("listening %s/p2p/%s\n", n.host.Addrs()[0], n.host.ID())
	return n
}

func (n *node) serveGateway() {
	backend, err := gateway.NewBlocksBackend(
		blockservice.New(n.blocks, offline.Exchange(n.blocks)), gateway.WithValueStore(n.names))
	must(err)
	handler := gateway.NewHandler(gateway.Config{NoDNSLink: true}, backend)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Printf("gateway http://%s\n", listener.Addr())
	go http.Serve(listener, handler)
}

func (n *node) load(ctx context.Context, file string) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer in.Close()
	reader, err := car.NewBlockReader(in)
	if err != nil {
		return "", err
	}
	for count := 0; ; count++ {
		block, err := reader.Next()
		if err == io.EOF {
			return fmt.Sprintf("loaded %s %d", reader.Roots[0], count), nil
		}
		if err != nil {
			return "", err
		}
		if err := n.blocks.Put(ctx, block); err != nil {
			return "", err
		}
	}
}

func (n *node) dial(ctx context.Context, addr string) (string, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return "", err
	}
	return "dialled", n.host.Connect(ctx, *info)
}

func (n *node) get(ctx context.Context, text string) (string, error) {
	id, err := cid.Decode(text)
	if err != nil {
		return "", err
	}
	block, err := n.bitswap.GetBlock(ctx, id)
	if err != nil {
		return "", err
	}
	data := block.RawData()
	return fmt.Sprintf("got %d %x", len(data), sha256.Sum256(data)), nil
}

func (n *node) name(ctx context.Context, target, seconds string) (string, error) {
	var err error
	n.key, _, err = crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	return n.rename(ctx, target, seconds, "1")
}

func (n *node) rename(ctx context.Context, target, seconds, number string) (string, error) {
	value, err := path.NewPath(target)
	if err != nil {
		return "", err
	}
	count, err := strconv.Atoi(seconds)
	if err != nil {
		return "", err
	}
	sequence, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return "", err
	}
	until := time.Now().Add(time.Duration(count) * time.Second)
	record, err := ipns.NewRecord(n.key, value, sequence, until, time.Minute)
	if err != nil {
		return "", err
	}
	bytes, err := ipns.MarshalRecord(record)
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromPrivateKey(n.key)
	if err != nil {
		return "", err
	}
	name := ipns.NameFromPeer(id)
	return "named " + name.String(), n.names.PutValue(ctx, string(name.RoutingKey()), bytes)
}

func (n *node) do(ctx context.Context, words []string) (string, error) {
	switch {
	case words[0] == "load" && len(words) == 2:
		return n.load(ctx, words[1])
	case words[0] == "dial" && len(words) == 2:
		return n.dial(ctx, words[1])
	case words[0] == "get" && len(words) == 2:
		return n.get(ctx, words[1])
	case words[0] == "name" && len(words) == 3:
		return n.name(ctx, words[1], words[2])
	case words[0] == "rename" && len(words) == 4 && n.key != nil:
		return n.rename(ctx, words[1], words[2], words[3])
	}
	return "", fmt.Errorf("no such command")
}

func main() {
	n := newNode(context.Background())
	n.serveGateway()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		answer, err := n.do(ctx, strings.Fields(lines.Text()))
		cancel()
		if err != nil {
			answer = "failed " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
}
