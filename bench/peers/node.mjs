// Node's WASI, of a core module (cell.c).
//
//   node.mjs run WASM             runs it
//   node.mjs spawn WASM COUNT     instances that say their word and exit; nanoseconds each
//   node.mjs idle WASM COUNT      so many kept after that: bytes each; needs --expose-gc
import { openSync, readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [mode, path, count] = process.argv.slice(2);
const module = new WebAssembly.Module(readFileSync(path));
const nowhere = openSync('/dev/null', 'w');

function runOne(stdout) {
  const wasi = new WASI({ version: 'preview1', args: ['cell'], stdout, returnOnExit: true });
  const instance = new WebAssembly.Instance(module, wasi.getImportObject());
  wasi.start(instance);
  return instance;
}

function resident() {
  globalThis.gc();
  return process.memoryUsage.rss();
}

if (mode === 'run') {
  runOne(1);
} else if (mode === 'spawn') {
  const begin = process.hrtime.bigint();
  for (let i = 0; i < count; i++) runOne(nowhere);
  console.log(Number(process.hrtime.bigint() - begin) / Number(count));
} else {
  runOne(nowhere);
  const before = resident();
  const kept = [];
  for (let i = 0; i < count; i++) kept.push(runOne(nowhere));
  console.log((resident() - before) / kept.length);
}
