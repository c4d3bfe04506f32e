// A js-libp2p node that does what it is told, a line at a time: peer.mjs [--rsa]
//
// It says `listening ADDR`, and `identified PEER AGENT PROTOCOLS` for everyone it meets. It takes
// `dial ADDR`, `ping PEER`, `echo PEER BYTES`, and of the DHT `find PEER`, `put KEY VALUE` and
// `get KEY`. Each is answered with one line, `failed WHY` if it cannot be done. The end of its input
// ends it.
import { createInterface } from 'node:readline'
import { randomFillSync } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const ECHO = '/ww/interop/echo'
const text = new TextEncoder()
const say = (...words) => console.log(words.join(' '))
const limit = () => ({ signal: AbortSignal.timeout(60_000) })

const node = await createLibp2p({
  privateKey: await generateKeyPair(process.argv.includes('--rsa') ? 'RSA' : 'Ed25519', 2048),
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  // Other nodes are on loopback, which a public DHT has no place for.
  connectionGater: { denyDialMultiaddr: async () => false },
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: '/ipfs/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
      validators: { ww: async () => {} },
      selectors: { ww: () => 0 }
    })
  }
})

async function write (stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain()
}

await node.handle(ECHO, async (stream) => {
  for await (const piece of stream) await write(stream, piece)
  await stream.close()
})

async function echo (peer, size) {
  const sent = randomFillSync(new Uint8Array(size))
  const stream = await node.dialProtocol(peer, ECHO, limit())
  const received = []
  let count = 0
  const reading = (async () => {
    for await (const piece of stream) {
      received.push(Buffer.from(piece.subarray()))
      count += piece.byteLength
      if (count >= size) return
    }
  })()
  for (let at = 0; at < size; at += 16384) await write(stream, sent.subarray(at, at + 16384))
  await reading
  await stream.close(limit())
  if (Buffer.compare(Buffer.concat(received), sent) !== 0) {
    throw new Error('what came back is not what was sent')
  }
  return count
}

async function putInDht (key, value) {
  for await (const event of node.services.dht.put(text.encode(`/ww/${key}`), text.encode(value),
    limit())) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') return event.from
  }
  throw new Error('nobody took it')
}

async function getFromDht (key) {
  for await (const event of node.services.dht.get(text.encode(`/ww/${key}`), limit())) {
    if (event.name === 'VALUE') return `${new TextDecoder().decode(event.value)} ${event.from}`
  }
  throw new Error('nobody has it')
}

const commands = {
  dial: async (address) => {
    const connection = await node.dial(multiaddr(address), limit())
    say('dialled', connection.remotePeer, connection.encryption, connection.multiplexer)
  },
  ping: async (peer) => {
    await node.services.ping.ping(peerIdFromString(peer), limit())
    say('pinged', peer)
  },
  echo: async (peer, size) => say('echoed', await echo(peerIdFromString(peer), Number(size))),
  find: async (peer) => {
    const found = await node.peerRouting.findPeer(peerIdFromString(peer), limit())
    say('found', ...found.multiaddrs)
  },
  put: async (key, value) => say('put', await putInDht(key, value)),
  get: async (key) => say('got', await getFromDht(key))
}

node.addEventListener('peer:identify', ({ detail }) => {
  say('identified', detail.peerId, detail.agentVersion, detail.protocols.join(','))
})
say('listening', node.getMultiaddrs()[0])
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...words] = line.split(' ')
  try {
    await commands[name](...words)
  } catch (error) {
    say('failed', `${error.name}: ${error.message}`.replaceAll('\n', ' '))
  }
}
process.exit(0)
