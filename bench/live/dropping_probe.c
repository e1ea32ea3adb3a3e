// SPDX-License-Identifier: MIT
/* The probe itself, which here ends in XDP_DROP: what is measured is not the stack behind it. */
#include <uapi/linux/bpf.h>
#define XDP_PASS XDP_DROP
#include "../../synguard/probe/bpf/probe.c"
