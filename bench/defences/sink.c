/* Drops every SYN to one port and counts it: what receiving alone costs. */
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#ifndef PORT
#define PORT 443
#endif

BPF_TABLE("percpu_array", u32, u64, dropped, 1);

static __always_inline int is_syn(struct tcphdr *tcp, void *end)
{
	if ((void *)(tcp + 1) > end)
		return 0;
	return tcp->dest == __builtin_bswap16(PORT) && tcp->syn && !tcp->ack && !tcp->rst && !tcp->fin;
}

static __always_inline struct tcphdr *find_tcp(struct ethhdr *ethernet, void *end)
{
	struct iphdr *ipv4 = (void *)(ethernet + 1);
	struct ipv6hdr *ipv6 = (void *)(ethernet + 1);

	if (ethernet->h_proto == __builtin_bswap16(ETH_P_IP)) {
		if ((void *)(ipv4 + 1) <= end && ipv4->protocol == IPPROTO_TCP)
			return (void *)ipv4 + ipv4->ihl * 4;
	} else if (ethernet->h_proto == __builtin_bswap16(ETH_P_IPV6)) {
		if ((void *)(ipv6 + 1) <= end && ipv6->nexthdr == IPPROTO_TCP)
			return (void *)(ipv6 + 1);
	}
	return 0;
}

int bench_sink(struct xdp_md *frame)
{
	struct ethhdr *ethernet = (void *)(long)frame->data;
	void *end = (void *)(long)frame->data_end;
	struct tcphdr *tcp;
	u32 zero = 0;
	u64 *count;

	if ((void *)(ethernet + 1) > end)
		return XDP_PASS;
	tcp = find_tcp(ethernet, end);
	if (!tcp || !is_syn(tcp, end))
		return XDP_PASS;
	count = dropped.lookup(&zero);
	if (count)
		(*count)++;
	return XDP_DROP;
}
