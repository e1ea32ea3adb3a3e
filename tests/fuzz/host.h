/* What the probe's headers find in the kernel, for the host: short integer names, and inlining by command. */
#ifndef SYNGUARD_HOST_H
#define SYNGUARD_HOST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

#endif
