/*
 * unison.c: a data logger as it is written for Unison
 *
 * An interrupt (here: a timer's signal) takes a buffer from a partition, fills it with a sample and sends it through a
 * message queue; a thread prints what comes and returns the buffer. <sys.h> is Unison's own header.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys.h>

#define SAMPLES 12
#define BUFFERS 4

struct sample {
	int number;
	int value;
};

static int pt;
static mqd_t queue;
static volatile sig_atomic_t taken;

/* The interrupt service routine: pt_getblock() is callable from an ISR. */
static void isr(int signo)
{
	struct sample *s;

	(void)signo;
	if (taken == SAMPLES)
		return;
	s = pt_getblock(pt);
	if (!s)
		return; /* all buffers are on their way: the next interrupt tries again */
	s->number = taken;
	s->value = taken * taken;
	if (mq_send(queue, (const char *)&s, sizeof(s), 0) < 0)
		pt_freeblock(pt, s);
	else
		taken++;
}

static int start_interrupts(void)
{
	struct itimerval period = { { 0, 2000 }, { 0, 2000 } };
	struct sigaction sa = { .sa_handler = isr, .sa_flags = SA_RESTART };

	if (sigaction(SIGALRM, &sa, NULL) < 0)
		return -1;
	return setitimer(ITIMER_REAL, &period, NULL);
}

static mqd_t open_queue(void)
{
	struct mq_attr attr = { .mq_maxmsg = BUFFERS, .mq_msgsize = sizeof(struct sample *) };
	char name[32];
	mqd_t q;

	snprintf(name, sizeof(name), "/unison-port-%p", (void *)&queue);
	q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	mq_unlink(name);
	return q;
}

int main(void)
{
	struct sample *s;

	pt = pt_create(sizeof(struct sample), BUFFERS);
	if (pt < 0) {
		perror("pt_create");
		return 1;
	}
	queue = open_queue();
	if (queue == (mqd_t)-1 || start_interrupts() < 0) {
		perror("logger");
		return 1;
	}
	for (int i = 0; i < SAMPLES; i++) {
		if (mq_receive(queue, (char *)&s, sizeof(s), NULL) < 0) {
			perror("mq_receive");
			return 1;
		}
		printf("sample %d: %d\n", s->number, s->value);
		if (i == 0)
			printf("while a buffer is out: %s\n",
			       pt_destroy(pt) < 0 && errno == EBUSY ? "busy" : "destroyed");
		pt_retblock(pt, s);
	}
	if (pt_destroy(pt) < 0) {
		perror("pt_destroy");
		return 1;
	}
	printf("and without: destroyed\n");
	return 0;
}
