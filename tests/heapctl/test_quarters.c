/*
 * test_quarters.c: the blocks of a pool, whatever its states are, and their picture
 *
 * States come from another process. For any of them the blocks must lie in order, without a gap,
 * and fill the pool; and the picture must have one character for each cell.
 */
#include "heapctl/quarters.h" /* before cmocka.h, whose fail() is a macro */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static const uint32_t sizes[] = {256, 1024, 4096, 16384};

static char *draw(const struct wire_pool *pool)
{
	static const struct style plain;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	quarters_draw(pool, &plain, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* The characters of the picture's cells: what stands behind an offset. */
static size_t count_cells(const char *picture)
{
	size_t n = 0;

	for (const char *line = strchr(picture, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
		size_t length = (size_t)(strchr(line, '\n') - line);

		if (length > 11 && line[9] != ' ' && line[10] == ' ' && line[11] == ' ')
			n += length - 12;
	}
	return n;
}

static void audit(const struct wire_pool *pool)
{
	struct quarters_block blocks[QUARTERS_BLOCKS];
	size_t n = quarters_list(pool, blocks);
	uint32_t end = 0;
	char *picture;

	assert_in_range(n, 1, QUARTERS_BLOCKS);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(blocks[i].offset, end);
		assert_in_range(blocks[i].size, QUARTERS_CELL, pool->size);
		assert_int_equal(blocks[i].offset % blocks[i].size, 0);
		assert_true(blocks[i].state == QUARTER_NONE || blocks[i].state == QUARTER_FREE ||
			    blocks[i].state == QUARTER_USED);
		end += blocks[i].size;
	}
	assert_int_equal(end, pool->size);
	picture = draw(pool);
	assert_int_equal(count_cells(picture), pool->size / QUARTERS_CELL);
	free(picture);
}

static void test_any_states(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct wire_pool pool = {.size = sizes[round % 4]};

		for (size_t i = 0; i < WIRE_QUARTERS; i++) /* often split, so that it goes deep */
			pool.quarter[i] =
			    (uint8_t)(rand_r(&seed) % 3 ? QUARTER_SPLIT : rand_r(&seed) % 4);
		audit(&pool);
	}
}

static void test_whole_pools(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (uint8_t s = QUARTER_NONE; s <= QUARTER_USED; s++) {
			struct wire_pool pool = {.size = sizes[i]};

			memset(pool.quarter, s, sizeof(pool.quarter));
			audit(&pool);
		}
	}
}

static void test_picture(void **state)
{
	struct wire_pool pool = {
		.size = 1024,
		.quarter = {QUARTER_SPLIT, QUARTER_SPLIT, QUARTER_USED, QUARTER_FREE, QUARTER_USED, QUARTER_USED,
			    QUARTER_USED, QUARTER_FREE, QUARTER_FREE},
	};
	char *picture = draw(&pool);

	(void)state;
	assert_string_equal(picture, "one character: 64 bytes\n"
				     "         0  ##..[==](..)[==]\n"
				     "           # 64 bytes, in use\n"
				     "         [=] a larger block, in use\n"
				     "           . 64 bytes, free\n"
				     "         (.) a larger block, free\n");
	free(picture);
	pool.quarter[0] = QUARTER_USED;
	picture = draw(&pool);
	assert_string_equal(picture, "one character: 64 bytes\n"
				     "         0  [1024==========]\n"
				     "         [=] a larger block, in use\n");
	free(picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_states),
		cmocka_unit_test(test_whole_pools),
		cmocka_unit_test(test_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
