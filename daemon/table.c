/*
 * table.c: see table.h
 */
#include "daemon/table.h"

#include <sys/random.h>

static struct table_node **chain_of(const struct table *t, uint64_t hash)
{
	return t->bucket ? &t->bucket[hash & (t->n_buckets - 1)] : (struct table_node **)&t->one;
}

static void chain_push(struct table_node **chain, struct table_node *node)
{
	node->next = *chain;
	*chain = node;
}

static void move_all(struct table *to, struct table_node *chain)
{
	struct table_node *node;

	while ((node = chain)) {
		chain = node->next;
		chain_push(chain_of(to, node->hash), node);
	}
}

/* Twice the buckets. Without memory for them the old ones do. */
static void grow(struct table *t)
{
	struct table bigger = {.n_buckets = t->n_buckets ? t->n_buckets * 2 : 8, .n = t->n};

	bigger.bucket = calloc(bigger.n_buckets, sizeof(struct table_node *));
	if (!bigger.bucket)
		return;
	move_all(&bigger, t->one);
	for (size_t i = 0; t->bucket && i < t->n_buckets; i++)
		move_all(&bigger, t->bucket[i]);
	free(t->bucket);
	*t = bigger;
}

void table_deinit(struct table *t)
{
	free(t->bucket);
	*t = (struct table)TABLE_NULL;
}

void table_add(struct table *t, struct table_node *node, uint64_t hash)
{
	if (t->n >= (t->n_buckets ? t->n_buckets : 1))
		grow(t);
	node->hash = hash;
	chain_push(chain_of(t, hash), node);
	t->n++;
}

void table_remove(struct table *t, struct table_node *node)
{
	struct table_node **at = chain_of(t, node->hash);

	while (*at != node) {
		assert(*at && "only what is in can go out");
		at = &(*at)->next;
	}
	*at = node->next;
	t->n--;
}

struct table_node *table_find(const struct table *t, uint64_t hash)
{
	struct table_node *node = *chain_of(t, hash);

	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct table_node *table_next(const struct table_node *node)
{
	struct table_node *next = node->next;

	while (next && next->hash != node->hash)
		next = next->next;
	return next;
}

/* The finaliser of MurmurHash3: every bit of n reaches every bit of the result. */
uint64_t hash_number(uint64_t n)
{
	n ^= n >> 33;
	n *= 0xff51afd7ed558ccdull;
	n ^= n >> 33;
	n *= 0xc4ceb9fe1a85ec53ull;
	return n ^ n >> 33;
}

/* ---- SipHash-2-4 (Aumasson and Bernstein, 2012) ---- */

struct sip {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(struct sip *s)
{
	s->a += s->b;
	s->c += s->d;
	s->b = rotate(s->b, 13) ^ s->a;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a = rotate(s->a, 32);
	s->c += s->b;
	s->a += s->d;
	s->b = rotate(s->b, 17) ^ s->c;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c = rotate(s->c, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->d ^= word;
	sip_round(s);
	sip_round(s);
	s->a ^= word;
}

/* Drawn once. Should the kernel have no randomness yet, addresses and time have to do. */
static const uint64_t *sip_key(void)
{
	static uint64_t key[2];
	static bool drawn;

	if (!drawn && getrandom(key, sizeof(key), GRND_NONBLOCK) != sizeof(key)) {
		key[0] = hash_number(now_ns());
		key[1] = hash_number((uintptr_t)&key ^ key[0]);
	}
	drawn = true;
	return key;
}

uint64_t hash_bytes(const void *bytes, size_t n)
{
	const uint64_t *key = sip_key();
	const uint8_t *at = bytes;
	struct sip s = {
		.a = key[0] ^ 0x736f6d6570736575ull,
		.b = key[1] ^ 0x646f72616e646f6dull,
		.c = key[0] ^ 0x6c7967656e657261ull,
		.d = key[1] ^ 0x7465646279746573ull,
	};
	uint64_t word, last = (uint64_t)n << 56;

	for (; n >= sizeof(word); n -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sip_word(&s, word);
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)at[i] << (8 * i);
	sip_word(&s, last);
	s.c ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
