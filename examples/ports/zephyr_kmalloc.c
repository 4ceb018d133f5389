/*
 * zephyr_kmalloc.c: an application for Zephyr that takes its messages from the heap memory pool
 *
 * A small interpreter builds expressions as trees: nodes of one block each, strings of any length,
 * an array that starts with zeros. As Zephyr's build does, ours defines CONFIG_HEAP_MEM_POOL_SIZE
 * for every file.
 */
#include <zephyr/kernel.h>

#include <stdio.h>
#include <string.h>

struct node {
	char op; /* 0: a number */
	long value;
	struct node *left, *right;
};

static struct node *node_new(char op, long value, struct node *left, struct node *right)
{
	struct node *n = k_malloc(sizeof(*n));

	if (n != NULL) {
		n->op = op;
		n->value = value;
		n->left = left;
		n->right = right;
	} else {
		printf("Memory not allocated\n");
	}
	return n;
}

static void node_free(struct node *n)
{
	if (n == NULL)
		return;
	node_free(n->left);
	node_free(n->right);
	k_free(n);
}

static long eval(const struct node *n)
{
	switch (n->op) {
	case '+':
		return eval(n->left) + eval(n->right);
	case '*':
		return eval(n->left) * eval(n->right);
	default:
		return n->value;
	}
}

static char *print(const struct node *n)
{
	char *text = k_malloc(240);
	char *left, *right;

	if (text == NULL)
		return NULL;
	if (n->op == 0) {
		snprintf(text, 240, "%ld", n->value);
		return text;
	}
	left = print(n->left);
	right = print(n->right);
	snprintf(text, 240, "(%.100s %c %.100s)", left, n->op, right);
	k_free(right);
	k_free(left);
	return text;
}

static int count(size_t size)
{
	void *taken[CONFIG_HEAP_MEM_POOL_SIZE / 64];
	int n = 0;

	while (n < CONFIG_HEAP_MEM_POOL_SIZE / 64 && (taken[n] = k_malloc(size)) != NULL)
		n++;
	for (int i = 0; i < n; i++)
		k_free(taken[i]);
	return n;
}

int main(void)
{
	struct node *tree = node_new(
	    '*', 0, node_new('+', 0, node_new(0, 1, NULL, NULL), node_new(0, 2, NULL, NULL)),
	    node_new(0, 14, NULL, NULL));
	char *text = print(tree);
	unsigned char *histogram;
	void *page;

	printf("%s = %ld\n", text, eval(tree));

	histogram = k_calloc(26, 4);
	for (const char *c = "heap memory pool"; *c; c++)
		if (*c != ' ')
			histogram[(*c - 'a') * 4]++;
	printf("p: %d, z: %d\n", histogram[('p' - 'a') * 4], histogram[('z' - 'a') * 4]);

	page = k_aligned_alloc(1024, 100);
	printf("aligned: %s\n", (uintptr_t)page % 1024 == 0 ? "yes" : "no");

	k_free(page);
	k_free(histogram);
	k_free(text);
	node_free(tree);
	printf("%d of 48, %d of 75, %d of 200, %d of 1000, %d of 4080, %d of 4081\n", count(48),
	       count(75), count(200), count(1000), count(4080), count(4081));
	return 0;
}
