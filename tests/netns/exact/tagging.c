/* Stands in for VLAN devices: tags what leaves an interface, and takes the tags off what arrives. */
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#define INNER 42
#define OUTER 7

int tag_once(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), INNER);
	return TC_ACT_UNSPEC;
}

int tag_twice(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), INNER);
	bpf_skb_vlan_push(skb, __builtin_bswap16(ETH_P_8021Q), OUTER);
	return TC_ACT_UNSPEC;
}

int untag(struct __sk_buff *skb)
{
	if (skb->vlan_present)
		bpf_skb_vlan_pop(skb);
	if (skb->vlan_present)
		bpf_skb_vlan_pop(skb);
	return TC_ACT_UNSPEC;
}
