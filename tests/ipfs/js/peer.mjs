// An IPFS node made of Helia's bitswap over js-libp2p, which does what it is told, a line at a time.
//
// It says `listening ADDR`, and takes `load FILE.car` (answer: `loaded ROOT BLOCKS`), `dial ADDR`
// (`dialled`), `get CID` by bitswap alone (`got BYTES SHA256`), and `name PATH SECONDS` (`named NAME
// BASE64`: a record of IPNS, valid for so long). `failed WHY` if it cannot be done. The end of its
// input ends it.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { CarBlockIterator } from '@ipld/car'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { defaultLogger } from '@libp2p/logger'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core'
import { createIPNSRecord, marshalIPNSRecord } from 'ipns'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'

const PATIENCE_MS = 30_000
const say = (...words) => console.log(words.join(' '))

const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: async () => false },
  services: { identify: identify() }
})

// What bitswap takes of a Helia node, and no more of one.
const blockstore = new MemoryBlockstore()
let mixin, bitswap
withBitswap({
  status: 'starting',
  libp2p,
  blockstore,
  logger: defaultLogger(),
  routing: { async * findProviders () {} },
  getHasher: async (code) => { throw new Error(`no hash ${code}`) },
  hasBlockBroker: () => false,
  addBlockBroker: (broker) => { bitswap = broker },
  addMixin (added) { mixin = { helia: this, added } }
})
await mixin.added.start(mixin.helia)
for (const addr of libp2p.getMultiaddrs()) say('listening', addr.toString())

const commands = {
  async load (file) {
    const blocks = await CarBlockIterator.fromIterable(createReadStream(file))
    const [root] = await blocks.getRoots()
    let count = 0
    for await (const { cid, bytes } of blocks) {
      await blockstore.put(cid, bytes)
      count++
    }
    return ['loaded', root, count]
  },

  async dial (addr) {
    await libp2p.dial(multiaddr(addr), { signal: AbortSignal.timeout(PATIENCE_MS) })
    return ['dialled']
  },

  async get (cid) {
    const block = await bitswap.retrieve(CID.parse(cid), {
      signal: AbortSignal.timeout(PATIENCE_MS)
    })
    return ['got', block.length, createHash('sha256').update(block).digest('hex')]
  },

  async name (path, seconds) {
    const key = await generateKeyPair('Ed25519')
    const record = await createIPNSRecord(key, path, 1, seconds * 1000)
    const bytes = Buffer.from(marshalIPNSRecord(record)).toString('base64')
    return ['named', key.publicKey.toCID().toString(), bytes]
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...words] = line.split(' ')
  try {
    say(...await commands[command](...words))
  } catch (error) {
    say('failed', String(error.message).replaceAll('\n', ' '))
  }
}
process.exit()
