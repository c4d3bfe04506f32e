#!/usr/bin/env bash
# bench.sh BUILD_DIR [PART...]: figures, each beside its ceiling from the same run. Parts of a node:
# echo quota guests graft spawn streams idle busy kill membrane epoch threads images; between nodes: network latency;
# of the program: start; of single layers, by Google Benchmark: micro. All of these if none is named.
# peers: what a user would pick instead; if it is named, or PEERS=1.
# The run is in BUILD_DIR/bench/results.json.
. "$(dirname "$0")/common.sh"
build=$1; shift
node=(echo quota guests graft spawn streams idle busy kill membrane epoch threads images)
parts=("$@")
if [ ${#parts[@]} = 0 ]; then
  parts=("${node[@]}" network latency start micro)
  if [ -n "${PEERS:-}" ]; then parts+=(peers); fi
fi
out=$build/bench
lines=$out/results.jsonl micro=$out/micro.json
rm -f "$lines" "$micro"
export PYTHONDONTWRITEBYTECODE=1
WW_BENCH_LOAD=$(cut -d ' ' -f 1 /proc/loadavg)
export WW_BENCH_LOAD
if awk "BEGIN { exit !($WW_BENCH_LOAD > 0.5) }"; then
  say "this machine is busy (a load of $WW_BENCH_LOAD): what follows will be slower than it need be"
fi

"$WW_ROOT/tools/build-rust.sh" engine-bench "$out/ww-engine-bench"
for part in "${parts[@]}"; do
  case $part in
    network)
      "$WW_ROOT/tools/build-rust.sh" swarm-bench "$out/ww-swarm-bench"
      "$out/ww-bench-network" "$out/ww-swarm-bench" "$lines" ;;
    latency) python3 "$WW_ROOT/bench/latency.py" "$build/ww" "$build" "$WW_ROOT" "$lines" ;;
    start)
      wasmtime=$("$WW_ROOT/tools/fetch-wasmtime.sh")
      python3 "$WW_ROOT/bench/start.py" "$build/ww" "$build" "$wasmtime" "$lines" ;;
    micro)
      "$out/ww-bench-micro" --benchmark_out="$micro" --benchmark_out_format=json \
        --benchmark_repetitions=5 --benchmark_report_aggregates_only=true \
        --benchmark_enable_random_interleaving=true ;;
    images)
      "$out/ww-bench" --json "$lines" images
      python3 "$WW_ROOT/bench/images.py" "$build/ww" "$WW_ROOT/examples/images/default" "$lines" ;;
    peers)
      "$WW_ROOT/tools/build-peers.sh" \
        python3 "$WW_ROOT/bench/peers.py" "$build/ww" "$build" "$lines" ;;
    *) "$out/ww-bench" --json "$lines" "$part" ;;
  esac
done
python3 "$WW_ROOT/bench/report.py" gather "$lines" "$micro" "$out/results.json"
say "into the document: python3 bench/report.py write $out/results.json docs/performance.md"
say "where the time goes: python3 bench/profile.py $out/ww-bench docs/performance.md"
