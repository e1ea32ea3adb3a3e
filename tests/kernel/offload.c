// SPDX-License-Identifier: MIT
/*
 * Puts VLAN tags where a network card that offloads them puts them: the outermost into the packet's metadata,
 * further ones into the frame. BPF_PROG_TEST_RUN takes no packet with such metadata, so this program makes
 * one, and calls the probe's as a tail call.
 */
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

struct offload {
	__u32 tags;
	__u32 seen_tci;
};

BPF_ARRAY(offloads, struct offload, 1);
BPF_PROG_ARRAY(target, 1);

int offload_tags(struct __sk_buff *skb)
{
	struct offload *offload;
	__u32 zero = 0;

	offload = offloads.lookup(&zero);
	if (!offload)
		return TC_ACT_SHOT;
	if (offload->tags > 1 && bpf_skb_vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), 7))
		return TC_ACT_SHOT;
	if (offload->tags > 0 && bpf_skb_vlan_push(skb, __builtin_bswap16(ETH_P_8021AD), 9))
		return TC_ACT_SHOT;
	offload->seen_tci = skb->vlan_tci;
	target.call(skb, 0);
	return TC_ACT_SHOT;
}
