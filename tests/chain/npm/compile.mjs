// compile.mjs SOURCE OUT: the contract of that name, compiled; nothing but an exit code other than 0
// where the compiler has anything to say. OUT is JSON:
//   compiler, abi, bytecode, deployedBytecode (where the immutables are still zero),
//   methodIdentifiers {signature: selector}, eventTopics {signature: topic},
//   errorSelectors {signature: selector}
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import sha3 from "js-sha3";
import solc from "solc";

const [source, out] = process.argv.slice(2);
const file = basename(source);
const name = file.replace(/\.sol$/, "");
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "paris",  // nothing newer is needed: it runs on every chain since the merge
  metadata: { bytecodeHash: "none" },  // the same code whatever the comments say
  outputSelection: {
    "*": { "*": ["abi", "evm.bytecode", "evm.deployedBytecode", "evm.methodIdentifiers"] },
  },
};
const result = JSON.parse(solc.compile(JSON.stringify({
  language: "Solidity",
  sources: { [file]: { content: readFileSync(source, "utf8") } },
  settings,
})));
if (result.errors?.length) {
  console.error(result.errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}

const { abi, evm } = result.contracts[file][name];
const signature = ({ name, inputs }) => `${name}(${inputs.map(({ type }) => type)})`;
const hashes = (type, chars) => Object.fromEntries(abi.filter((entry) => entry.type === type)
  .map((entry) => [signature(entry), "0x" + sha3.keccak256(signature(entry)).slice(0, chars)]));
const hex = (code) => "0x" + code.object;
const selectors = Object.entries(evm.methodIdentifiers).map(([key, value]) => [key, "0x" + value]);
writeFileSync(out, JSON.stringify({
  compiler: solc.version(),
  abi,
  bytecode: hex(evm.bytecode),
  deployedBytecode: hex(evm.deployedBytecode),
  methodIdentifiers: Object.fromEntries(selectors),
  eventTopics: hashes("event"),
  errorSelectors: hashes("error", 8),
}, null, 2) + "\n");
