// A go-libp2p node that does what it is told, a line at a time.
//
//	peer [-key ed25519|rsa] [-transport tcp|quic] [-security noise|tls] [-at IP] [-port PORT] [-seed N] [-relay] [-no-ping]
//
// It says `listening ADDR`, and `identified PEER AGENT PROTOCOLS` for everyone it meets. It takes
// `dial ADDR`, `ping PEER` and `echo PEER BYTES`, and answers each with one line, `failed WHY` if
// it cannot be done. The end of its input ends it. What a hostile one does is in attacks.go.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const echoProtocol = "/ww/interop/echo"

var output sync.Mutex

func say(words ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(words...)
}

type flags struct {
	key, transport, security, at string
	port, seed                   int
	relay, noPing                bool
}

func options(asked flags) ([]libp2p.Option, error) {
	kind := crypto.Ed25519
	if asked.key == "rsa" {
		kind = crypto.RSA
	}
	source := rand.Reader
	if asked.seed != 0 {
		source = bytes.NewReader(bytes.Repeat([]byte{byte(asked.seed)}, 32))
	}
	private, _, err := crypto.GenerateKeyPairWithReader(kind, 2048, source)
	if err != nil {
		return nil, err
	}
	chosen := []libp2p.Option{libp2p.Identity(private),
		libp2p.ResourceManager(&network.NullResourceManager{})}
	if asked.noPing {
		chosen = append(chosen, libp2p.Ping(false))
	}
	if asked.relay {
		chosen = append(chosen, libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic())
	}
	if asked.transport == "quic" {
		return append(chosen, libp2p.Transport(quic.NewTransport),
			libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", asked.at, asked.port))), nil
	}
	chosen = append(chosen, libp2p.Transport(tcp.NewTCPTransport),
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/%d", asked.at, asked.port)))
	if asked.security == "tls" {
		return append(chosen, libp2p.Security(tls.ID, tls.New)), nil
	}
	return append(chosen, libp2p.Security(noise.ID, noise.New)), nil
}

func echo(ctx context.Context, node host.Host, to peer.ID, size int) (int, error) {
	stream, err := node.NewStream(ctx, to, echoProtocol)
	if err != nil {
		return 0, err
	}
	defer stream.Reset()
	sent := make([]byte, size)
	rand.Read(sent)
	go func() {
		stream.Write(sent)
		stream.CloseWrite()
	}()
	received, err := io.ReadAll(stream)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(sent, received) {
		return 0, errors.New("what came back is not what was sent")
	}
	return len(received), nil
}

func obey(node host.Host, words []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if len(words) < 2 {
		return errors.New("no such command")
	}
	if words[0] == "dial" {
		info, err := peer.AddrInfoFromString(words[1])
		if err != nil {
			return err
		}
		if err := node.Connect(ctx, *info); err != nil {
			return err
		}
		state := node.Network().ConnsToPeer(info.ID)[0].ConnState()
		say("dialled", info.ID, state.Transport, state.Security)
		return nil
	}
	if words[0] != "ping" && words[0] != "echo" {
		return attack(ctx, node, words)
	}
	to, err := peer.Decode(words[1])
	if err != nil {
		return err
	}
	switch words[0] {
	case "ping":
		result := <-ping.Ping(ctx, node, to)
		if result.Error == nil {
			say("pinged", to)
		}
		return result.Error
	case "echo":
		size, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		n, err := echo(ctx, node, to, size)
		if err == nil {
			say("echoed", n)
		}
		return err
	}
	return errors.New("no such command")
}

func protocolList(protocols []protocol.ID) string {
	texts := make([]string, len(protocols))
	for i, one := range protocols {
		texts[i] = string(one)
	}
	return strings.Join(texts, ",")
}

func run() error {
	var asked flags
	flag.StringVar(&asked.key, "key", "ed25519", "")
	flag.StringVar(&asked.transport, "transport", "tcp", "")
	flag.StringVar(&asked.security, "security", "noise", "")
	flag.StringVar(&asked.at, "at", "127.0.0.1", "")
	flag.IntVar(&asked.port, "port", 0, "")
	flag.IntVar(&asked.seed, "seed", 0, "of a key that is the same the next time")
	flag.BoolVar(&asked.relay, "relay", false, "")
	flag.BoolVar(&asked.noPing, "no-ping", false, "")
	flag.Parse()
	chosen, err := options(asked)
	if err != nil {
		return err
	}
	node, err := libp2p.New(chosen...)
	if err != nil {
		return err
	}
	defer node.Close()
	node.SetStreamHandler(echoProtocol, func(stream network.Stream) {
		io.Copy(stream, stream)
		stream.CloseWrite()
	})
	met, err := node.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	go func() {
		for one := range met.Out() {
			known := one.(event.EvtPeerIdentificationCompleted)
			say("identified", known.Peer, known.AgentVersion, protocolList(known.Protocols))
		}
	}()
	say("listening", fmt.Sprintf("%s/p2p/%s", node.Addrs()[0], node.ID()))
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := obey(node, strings.Fields(lines.Text())); err != nil {
			say("failed", strings.ReplaceAll(err.Error(), "\n", " "))
		}
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
