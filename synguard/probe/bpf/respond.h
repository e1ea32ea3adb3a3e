/* What is done about a SYN that a rule speaks of. */

/* What came of asking the rules. */
struct response {
	struct listener_rule *rule; /* in force, and not about one who is spared */
	u32 is_dropped;
	u32 is_counted_only;
};

static __always_inline int is_held_back(struct headers *asked)
{
	u32 verdict = *(volatile u32 *)&asked->grey;

	return verdict == GREY_FIRST || verdict == GREY_COPY || verdict == GREY_DUPLICATE;
}

static __always_inline void ask_greylist(struct context *context, struct headers *asked, u32 is_active, u32 since_tick)
{
	struct grey grey = {};

	if (is_active)
		*(volatile u32 *)&asked->grey = greylist_syn(context, &asked->packet, &grey);
	if (is_active && *(volatile u32 *)&asked->grey == GREY_FIRST &&
	    came_before_greylist(context, &asked->packet, since_tick))
		*(volatile u32 *)&asked->grey = GREY_NOT_ASKED;
	if (!is_active)
		*(volatile u32 *)&asked->grey = remember_syn(context, &asked->packet, &grey);
	*(volatile u32 *)&asked->age_ticks = grey.age_ticks;
}

static __always_inline void ask_rules(struct context *context, struct headers *asked, struct response *response)
{
	struct listener_rule *rule = listener_rule(context, &asked->packet);
	struct block *block = source_rule(context, &asked->packet);
	u32 is_active = 0, lingers = 0, since_tick = 0;

	if (block && block->action != SOURCE_GREYLIST) {
		response->is_dropped = 1;
		response->is_counted_only = block->action == SOURCE_COUNT;
		drop_another(context, &asked->packet);
		__sync_fetch_and_add(&block->hits, 1);
		return;
	}
	if ((rule || block) && is_spared(&asked->packet))
		return;
	if (block) {
		is_active = block->until_ns > context->now_ns;
		lingers = !is_active;
		since_tick = block->since_tick;
	}
	if (rule && rule->until_ns > context->now_ns) {
		response->rule = rule;
		if (!is_active)
			since_tick = rule->since_tick;
		is_active |= rule->action == LISTENER_GREYLIST ||
			     *(volatile s64 *)&rule->canaries != CANARIES_EVERYBODY;
	} else if (rule) {
		lingers = 1;
	}
	if (is_active || lingers)
		ask_greylist(context, asked, is_active, since_tick);
	if (block && is_active && is_held_back(asked))
		__sync_fetch_and_add(&block->hits, 1);
}

/* Whether a SYN that is not dropped is to be answered with a cookie. */
static __always_inline int wants_cookie(struct response *response)
{
	struct listener_rule *rule = response->rule;

	return rule && rule->action == LISTENER_COOKIE && take_canary(rule);
}

static __always_inline void respond_to_syn(struct xdp_md *frame, struct context *context, struct headers *asked)
{
	volatile u32 *fate = &asked->fate, *grey = &asked->grey, *action = &asked->action;
	struct response response = {};

	*fate = FATE_PASSES;
	*action = XDP_PASS;
	*grey = GREY_NOT_ASKED;
	ask_rules(context, asked, &response);
	if (response.is_dropped) {
		*fate = FATE_DROPPED;
		*action = response.is_counted_only ? XDP_PASS : XDP_DROP;
	} else if (is_held_back(asked)) {
		*fate = *grey == GREY_DUPLICATE ? FATE_DUPLICATE : FATE_GREYLISTED;
		*action = XDP_DROP;
	} else if (wants_cookie(&response)) {
		*action = answer_with_cookie(frame, asked, &response.rule->answer);
		*fate = *action == XDP_TX ? FATE_ANSWERED : *action == XDP_DROP ? FATE_DROPPED : FATE_PASSES;
	}
}
