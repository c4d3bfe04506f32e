#pragma once
// A guest has no Unix sockets; KJ names the type.

#include <sys/socket.h>

struct ww_sockaddr_un { sa_family_t sun_family; char sun_path[108]; };
#define sockaddr_un ww_sockaddr_un
