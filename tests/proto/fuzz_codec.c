/*
 * fuzz_codec.c: any bytes as a frame: what the codec lets pass must be safe to read (libFuzzer)
 *
 * Input: one byte that says how many fds came with it, then the frame as it travels. Both checks
 * run for both sockets. What passes is read in full the way its receivers do, so that a count, a
 * length or a text that the codec should have refused becomes a report of a sanitizer, or an abort
 * here.
 *
 * Given no libFuzzer but -DFUZZ_SEEDS, the same file is the program that writes the seed corpus:
 * one file for each good frame of good.c.
 */
#include <stdio.h>

#include "good.h"

#ifdef FUZZ_SEEDS

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < n_good_ops; i++) {
		char path[4096];
		struct frame f;
		FILE *out;

		good_frame(&f, good_ops[i]);
		(void)snprintf(path, sizeof(path), "%s/%04x-%s", argv[1], good_ops[i],
			       op_text(good_ops[i]));
		out = fopen(path, "we");
		if (!out || fputc(f.n_fds, out) == EOF ||
		    fwrite(&f, sizeof(f.header) + f.header.length, 1, out) != 1 ||
		    fclose(out) != 0) {
			perror(path);
			return 1;
		}
	}
	if (argc != 2)
		(void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
	return argc == 2 ? 0 : 2;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

static void read_text(const char *text, size_t size)
{
	MUST(strnlen(text, size) < size);
	for (size_t i = 0; text[i]; i++)
		MUST((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

static void read_runs(const struct frame *f, const struct wire_run *runs, uint32_t n)
{
	const uint8_t *end = f->body.bytes + f->header.length;

	MUST((const uint8_t *)(runs + n) == end);
	for (uint32_t i = 0; i < n; i++)
		MUST(runs[i].n > 0 && (uint64_t)runs[i].first + runs[i].n <= UINT32_MAX);
}

static void read_request(const struct frame *f)
{
	MUST(f->n_fds == 0 && f->header.status == 0);
	switch (f->header.op) {
	case OP_HELLO:
		if (FRAME_BODY(f, const struct wire_hello)->version == WIRE_VERSION)
			read_text(FRAME_BODY(f, const struct wire_hello)->label, WIRE_LABEL_SIZE);
		break;
	case OP_CREATE:
		read_text(FRAME_BODY(f, const struct wire_create)->name, WIRE_NAME_SIZE);
		break;
	case OP_BIND:
		MUST(name_check(FRAME_BODY(f, const struct wire_bind)->name) == STATUS_OK);
		break;
	case OP_RETURN: {
		const struct wire_return *r = FRAME_BODY(f, const struct wire_return);

		read_runs(f, r->runs, r->n_runs);
		break;
	}
	default:
		break;
	}
}

static void read_array(const struct frame *f, size_t element)
{
	const struct wire_list *l = FRAME_BODY(f, const struct wire_list);

	MUST(sizeof(*l) + (uint64_t)l->n * element == f->header.length);
}

static void read_detail(const struct wire_detail *d)
{
	MUST(d->heap);
	for (size_t i = 0; d->kind == KIND_POOL && i < WIRE_QUARTERS; i++)
		MUST(d->pool.quarter[i] <= QUARTER_USED);
	MUST(d->kind != KIND_PARTITION || d->n_used <= d->partition.n_blocks);
}

static void read_answer(const struct frame *f)
{
	const struct wire_bound *bound = FRAME_BODY(f, const struct wire_bound);
	const struct wire_grant *grant = FRAME_BODY(f, const struct wire_grant);

	MUST(f->n_fds == 0 || f->header.status == STATUS_OK);
	if (f->header.status != STATUS_OK)
		return;
	switch (f->header.op) {
	case OP_HELLO | WIRE_REPLY:
		MUST(f->n_fds == 3);
		read_text(FRAME_BODY(f, const struct wire_welcome)->build, WIRE_LABEL_SIZE);
		break;
	case OP_CREATE | WIRE_REPLY:
	case OP_BIND | WIRE_REPLY:
	case EV_BOUND:
		MUST(f->n_fds == (bound->slot != UINT32_MAX));
		read_text(bound->name, WIRE_NAME_SIZE);
		read_runs(f, bound->runs, bound->n_runs);
		break;
	case OP_REFILL | WIRE_REPLY:
	case EV_GRANT:
		read_runs(f, grant->runs, grant->n_runs);
		break;
	case OP_LIST | WIRE_REPLY:
		read_array(f, sizeof(struct wire_entry));
		break;
	case OP_BINDINGS | WIRE_REPLY:
		read_array(f, sizeof(struct wire_binding));
		break;
	case OP_WAITERS | WIRE_REPLY:
		read_array(f, sizeof(struct wire_waiting));
		break;
	case OP_MAP | WIRE_REPLY:
		read_array(f, sizeof(struct wire_extent));
		break;
	case OP_REGIONS | WIRE_REPLY:
		read_array(f, sizeof(struct wire_region));
		break;
	case OP_DETAIL | WIRE_REPLY:
		read_detail(FRAME_BODY(f, const struct wire_detail));
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	struct frame *f;

	if (size < 1 + sizeof(f->header) || size > 1 + WIRE_FRAME_MAX)
		return 0;
	f = malloc(sizeof(*f)); /* fresh each time: a read behind what came is a read of rubbish */
	MUST(f);
	memset(f, 0xbd, sizeof(*f));
	memcpy(f, data + 1, size - 1);
	f->n_fds = data[0] % (WIRE_FDS_MAX + 1);
	for (int s = CODEC_CALL; s <= CODEC_EVENT; s++) {
		if (codec_check_request(f, (enum codec_socket)s, &why) == 0)
			read_request(f);
		else
			MUST(why);
		if (codec_check_answer(f, (enum codec_socket)s, &why) == 0)
			read_answer(f);
		else
			MUST(why);
	}
	free(f);
	return 0;
}

#endif
