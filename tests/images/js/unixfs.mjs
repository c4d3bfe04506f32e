// unixfs.mjs import DIR CAR [OPTION=VALUE...]: a tree as js makes it; prints the root's content id.
// unixfs.mjs export CAR DIR: the tree of a CAR file, as js reads it; prints the root's content id.
//
// Options: profile (of the importer), layout=trickle, chunk and links (numbers), and any of the
// importer's that is a number or true.
import fs from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { CarReader, CarWriter } from '@ipld/car'
import { exporter } from 'ipfs-unixfs-exporter'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'

function * candidates (dir, at = '') {
  for (const entry of fs.readdirSync(path.join(dir, at), { withFileTypes: true })) {
    const name = path.posix.join(at, entry.name)
    if (entry.isDirectory()) {
      yield { path: name }
      yield * candidates(dir, name)
    } else {
      yield { path: name, content: fs.createReadStream(path.join(dir, name)) }
    }
  }
}

function optionsOf (words) {
  const options = { profile: 'unixfs-v1-2025', wrapWithDirectory: true }
  const shape = {}
  for (const word of words) {
    const [name, value] = word.split('=')
    const known = ['layout', 'chunk', 'links'].includes(name) ? shape : options
    known[name] = value === 'true' ? true : value === 'false' ? false : Number(value)
    if (Number.isNaN(known[name])) known[name] = value
  }
  if (shape.chunk != null) options.chunker = fixedSize({ chunkSize: shape.chunk })
  const width = shape.links == null ? {} : { maxChildrenPerNode: shape.links }
  if (shape.layout === 'trickle') options.layout = trickle(width)
  else if (shape.links != null) options.layout = balanced(width)
  return options
}

async function importTree (dir, car, ...words) {
  const blocks = new Map()
  const store = { put: async (cid, bytes) => { blocks.set(cid.toString(), { cid, bytes }) } }
  let root
  for await (const entry of importer(candidates(dir), store, optionsOf(words))) root = entry.cid
  const { writer, out } = CarWriter.create([root])
  const done = new Promise((resolve, reject) => {
    Readable.from(out).pipe(fs.createWriteStream(car)).on('finish', resolve).on('error', reject)
  })
  for (const block of blocks.values()) await writer.put(block)
  await writer.close()
  await done
  console.log(root.toString())
}

async function exportTree (car, dir) {
  const reader = await CarReader.fromBytes(fs.readFileSync(car))
  const store = { async * get (cid) { yield (await reader.get(cid)).bytes } }
  const [root] = await reader.getRoots()
  const walk = async (cid, to) => {
    const entry = await exporter(cid, store)
    if (entry.type !== 'directory') return writeFile(entry, to)
    fs.mkdirSync(to, { recursive: true })
    for await (const child of entry.entries()) await walk(child.cid, path.join(to, child.name))
  }
  await walk(root, dir)
  console.log(root.toString())
}

async function writeFile (entry, to) {
  const out = fs.openSync(to, 'w')
  for await (const piece of entry.content()) fs.writeSync(out, piece)
  fs.closeSync(out)
}

const [command, ...words] = process.argv.slice(2)
await ({ import: importTree, export: exportTree })[command](...words)
