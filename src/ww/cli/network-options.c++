#include <ww/cli/network-options.h>

#include <stdlib.h>

namespace ww {

// For what nobody means to leave empty: a variable of a script's that is not set.
std::string isNotEmpty(const std::string& word) {
  return word.empty() ? "is empty; leave it out for what it is otherwise" : "";
}

std::string checkSeconds(const std::string& word) {
  char* end = nullptr;
  double seconds = strtod(word.c_str(), &end);
  bool good = !word.empty() && *end == '\0' && seconds >= 0.1 && seconds <= 600;  // NaN is neither
  return good ? "" : word + " is not between 0.1 and 600 seconds";
}

void addNetworkOptions(CLI::App& run, RawNetwork& raw) {
  auto group = "Network (without --listen, --bootstrap or --private-network there is none)";
  run.add_option("--listen", raw.listen,
                 "Where peers reach this node; may be repeated [/ip4/0.0.0.0/tcp/2020 and\n"
                 "/ip4/0.0.0.0/udp/2020/quic-v1]")
      ->type_name("MULTIADDR")->envname("WW_LISTEN")->allow_extra_args(false)->group(group);
  run.add_option("--bootstrap", raw.bootstrap,
                 "A peer to join the others through, ending in /p2p/PEERID; may be repeated")
      ->type_name("MULTIADDR")->envname("WW_BOOTSTRAP")->allow_extra_args(false)->group(group);
  run.add_option("--private-network", raw.privateNetwork,
                 "Talk to those alone that have this key (a file like Kubo's swarm.key)")
      ->type_name("KEYFILE")->check(isNotEmpty)->envname("WW_PRIVATE_NETWORK")->group(group);
  run.add_option("--dht", raw.dht, "Kademlia; auto serves once the node is reachable from outside")
      ->type_name("MODE")->envname("WW_DHT")->capture_default_str()->group(group)
      ->check(CLI::IsMember({"auto", "client", "server"}));
  run.add_option("--dial-timeout", raw.dialTimeout, "After which a dial has failed")
      ->type_name("SECONDS")->envname("WW_DIAL_TIMEOUT")->capture_default_str()->group(group)
      ->check(checkSeconds);
  run.add_flag("--dial-private", raw.dialPrivate,
               "Let cells, and peers through us, dial loopback, private and link-local\n"
               "addresses")
      ->envname("WW_DIAL_PRIVATE")->group(group);
  run.add_option("--allow", raw.allow,
                 "A key that may run components here from elsewhere; with ,node it may also act\n"
                 "on the node; may be repeated")
      ->type_name("KEY[,node]")->envname("WW_ALLOW")->allow_extra_args(false)->group(group);
  run.add_option("--allow-file", raw.allowFile,
                 "A file with more of them, a line each, read again when it changes")
      ->type_name("FILE")->check(isNotEmpty)->envname("WW_ALLOW_FILE")->group(group);
  run.add_option("--rpc", raw.rpc,
                 "Serve those keys over a TCP port as well, without joining a network: IP:PORT or\n"
                 ":2021 for loopback alone")
      ->type_name("ADDR")->check(isNotEmpty)->envname("WW_RPC")->group(group);
  run.add_flag("--no-mdns", raw.noMdns, "Do not look for peers on the local network")
      ->envname("WW_NO_MDNS")->group(group);
  run.add_flag("--no-network", raw.noNetwork, "Neither listen nor dial, whatever else is said")
      ->envname("WW_NO_NETWORK")->group(group);
}

kj::String str(const std::string& text) { return kj::heapString(text.data(), text.size()); }

kj::Array<kj::String> strs(const std::vector<std::string>& texts) {
  return KJ_MAP(text, kj::arrayPtr(texts.data(), texts.size())) { return str(text); };
}

NetworkOptions makeNetworkOptions(const RawNetwork& raw) {
  NetworkOptions network;
  bool asked = !raw.listen.empty() || !raw.bootstrap.empty() || !raw.privateNetwork.empty();
  network.enabled = asked && !raw.noNetwork;
  network.listen = strs(raw.listen);
  network.bootstrap = strs(raw.bootstrap);
  if (!raw.privateNetwork.empty()) network.privateNetwork = str(raw.privateNetwork);
  network.dialTimeout = int64_t(raw.dialTimeout * 1000) * kj::MILLISECONDS;
  network.dht = str(raw.dht);
  network.mdns = !raw.noMdns;
  network.dialPrivate = raw.dialPrivate;
  if (!raw.rpc.empty() && !raw.noNetwork) network.rpc = str(raw.rpc);
  return network;
}

}  // namespace ww
