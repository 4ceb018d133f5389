/*
 * test_descriptors.c: the descriptors of the library's restartable sequences, as the kernel reads them
 *
 * They lie in a section of their own of the file; their addresses are right once it is loaded. The kernel kills a process
 * whose descriptor does not suit it, and sends threads wherever one says: so each is looked at, on any processor,
 * whether or not sequences can be run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/rseq.h"
#include "heapclient/pt.h"

#define SEQUENCE_MAX 256 /* bytes: there is no loop, and no table */

#if RSEQ_HERE

/* A stretch of memory of the library. */
struct stretch {
	uint64_t begin, size;
};

static struct {
	struct stretch descriptors, aborts, text;
} library;

/* Whether all of [at, at + n) is in it. */
static bool holds(const struct stretch *s, uint64_t at, uint64_t n)
{
	return at >= s->begin && at - s->begin <= s->size && n <= s->size - (at - s->begin);
}

/* The sections of the file, where they were loaded to. */
static void read_sections(const struct dl_phdr_info *info)
{
	int fd = open(info->dlpi_name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const char *file;
	const ElfW(Ehdr) *elf;
	const ElfW(Shdr) *section;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(file != MAP_FAILED);
	elf = (const void *)file;
	section = (const void *)(file + elf->e_shoff);
	for (size_t i = 0; i < elf->e_shnum; i++) {
		const char *name = file + section[elf->e_shstrndx].sh_offset + section[i].sh_name;
		struct stretch s = {info->dlpi_addr + section[i].sh_addr, section[i].sh_size};

		if (strcmp(name, "__rseq_cs") == 0)
			library.descriptors = s;
		else if (strcmp(name, "__rseq_failure") == 0)
			library.aborts = s;
		else if (strcmp(name, ".text") == 0)
			library.text = s;
	}
	assert_int_equal(munmap((void *)(uintptr_t)file, (size_t)st.st_size), 0);
	(void)close(fd);
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size, (void)ctx;
	if (strstr(info->dlpi_name, "/libheapclient.so"))
		read_sections(info);
	return 0;
}

static void test_descriptors(void **state)
{
	const struct rseq_cs *cs;
	size_t n;

	(void)state;
	assert_null(pt_getblock(-1)); /* it is loaded */
	(void)dl_iterate_phdr(look_at_object, NULL);
	assert_true(library.text.size > 0);
	cs = (const struct rseq_cs *)library.descriptors.begin;
	n = library.descriptors.size / sizeof(*cs);
	assert_true(n >= 5); /* two ways and back, and a change of rows */
	assert_int_equal(library.descriptors.size % sizeof(*cs), 0);
	for (size_t i = 0; i < n; i++) {
		uint32_t signature;

		assert_int_equal((uintptr_t)&cs[i] % 32, 0);
		assert_int_equal(cs[i].version, 0);
		assert_int_equal(cs[i].flags, 0);
		assert_true(cs[i].post_commit_offset > 0 && cs[i].post_commit_offset <= SEQUENCE_MAX);
		assert_true(holds(&library.text, cs[i].start_ip, cs[i].post_commit_offset));
		assert_true(holds(&library.aborts, cs[i].abort_ip - sizeof(signature), sizeof(signature) + 1));
		memcpy(&signature, (const void *)(cs[i].abort_ip - sizeof(signature)), sizeof(signature));
		assert_int_equal(signature, RSEQ_SIG);
#if defined(__aarch64__)
		assert_int_equal((cs[i].start_ip | cs[i].post_commit_offset | cs[i].abort_ip) % 4, 0);
#endif
		for (size_t k = 0; k < i; k++) /* one is left before another one begins */
			assert_true(cs[i].start_ip - cs[k].start_ip >= cs[k].post_commit_offset &&
				    cs[k].start_ip - cs[i].start_ip >= cs[i].post_commit_offset);
	}
	print_message("  %zu sequences\n", n);
}

#else
static void test_descriptors(void **state)
{
	(void)state;
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
