// A bare component whose imports are of several versions of WASI 0.2, none of them the host's: see
// wit-versions/. Returns ok if all is as it should be for a cell that was granted nothing; else it
// traps.

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) extern "C" __attribute__((export_name(name)))

extern "C" {
struct List { void* ptr; unsigned size; };
struct SocketResult { unsigned char isErr; int value; };  // a handle, or in its first byte a code

IMPORT("wasi:filesystem/preopens@0.2.0", "get-directories") void getDirectories(List*);
IMPORT("wasi:sockets/tcp-create-socket@0.2.6", "create-tcp-socket")
void createTcpSocket(int family, SocketResult*);
IMPORT("wasi:sockets/instance-network@0.2.6", "instance-network") int instanceNetwork();
IMPORT("wasi:sockets/ip-name-lookup@0.2.6", "resolve-addresses")
void resolveAddresses(int network, const char* name, unsigned size, SocketResult*);
IMPORT("wasi:random/random@0.2.12", "get-random-u64") unsigned long long random();
IMPORT("wasi:clocks/monotonic-clock@0.2.99", "now") unsigned long long now();
}

constexpr int ACCESS_DENIED = 1;

static void require(bool good) {
  if (!good) __builtin_trap();
}

// Nothing that the host returns here needs room, except an empty list.
EXPORT("cabi_realloc") void* realloc(void*, unsigned, unsigned align, unsigned size) {
  require(size == 0);
  return reinterpret_cast<void*>(static_cast<unsigned long>(align));
}

#ifdef WW_NEW
EXPORT("wasi:cli/run@0.2.99#run")
#else
EXPORT("wasi:cli/run@0.2.0#run")
#endif
unsigned run() {
  List directories{};
  getDirectories(&directories);
  require(directories.size == 0);

  SocketResult socket{};
  createTcpSocket(0, &socket);
  require(socket.isErr == 1 && (socket.value & 0xff) == ACCESS_DENIED);

  SocketResult lookup{};
  resolveAddresses(instanceNetwork(), "localhost", 9, &lookup);
  require(lookup.isErr == 1 && (lookup.value & 0xff) == ACCESS_DENIED);

  require((random() | random() | random()) != 0);
  auto then = now();
  require(now() >= then);
  return 0;
}
