// SPDX-License-Identifier: MIT
/* The lower rungs of the ladder, which here end in XDP_DROP: what is measured is not the stack behind them. */
#include <uapi/linux/bpf.h>
#define XDP_PASS XDP_DROP
#include "../cost/ladder.c"
