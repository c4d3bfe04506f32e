#pragma once
#define _WASI_EMULATED_MMAN
#include_next <sys/mman.h>

#ifndef MAP_GROWSDOWN
#define MAP_GROWSDOWN 0
#endif
