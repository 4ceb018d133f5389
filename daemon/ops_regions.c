/*
 * ops_regions.c: REGIONS: what the configuration has for the multi-heaps of processes
 */
#include "daemon/ops_internal.h"

/* In the file's order; the cursor counts the sections that were passed. Walks them all at most. */
int op_regions(struct request *rq)
{
	const struct world *w = rq->world;
	uint64_t cursor = REQUEST_BODY(rq, struct wire_target)->cursor, at = 0;
	struct wire_regions *out = REPLY_BODY(rq, struct wire_regions);
	const struct region *g;

	STAILQ_FOREACH(g, &w->config.regions, link) {
		if (at++ < cursor || !may_attach(w, rq->session, g))
			continue;
		if (out->n == WIRE_REGIONS_MAX)
			break;
		out->cursor = at;
		out->region[out->n] = (struct wire_region){
			.size = g->size, .attribute = g->attribute, .backing = g->backing.kind};
		name_copy(out->region[out->n++].name, g->name);
	}
	if (!g)
		out->cursor = 0;
	rq->reply->frame.header.length += out->n * (uint32_t)sizeof(struct wire_region);
	return 0;
}
