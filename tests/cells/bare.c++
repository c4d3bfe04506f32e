// The smallest components there are. What is wrong with each one stands in CMakeLists.txt.

#define EXPORT(name) extern "C" __attribute__((export_name(name)))

#ifdef WW_NO_RUN
EXPORT("answer") unsigned answer() { return 42; }
#else

#ifdef WW_UNKNOWN_IMPORT
extern "C" __attribute__((import_module("wetware:fixtures/missing@0.1.0"), import_name("answer")))
unsigned answer();
#else
static unsigned answer() { return 0; }
#endif

// Runs while the component is instantiated.
EXPORT("_initialize") void initialize() {
#ifdef WW_TRAP_AT_START
  __builtin_trap();
#endif
#ifdef WW_SPIN_AT_START
  for (volatile unsigned i = 0;; i = i + 1) {}
#endif
}

EXPORT("wasi:cli/run@0.2.9#run") unsigned run() { return answer(); }
#endif
