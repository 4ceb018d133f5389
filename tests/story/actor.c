/*
 * actor.c: actors, their lanes and their ends
 *
 * A lane is a SOCK_SEQPACKET pair that carries struct step both ways. The actor's main thread
 * serves lane 0 and exits when the test closes it, so no actor outlives its test even if it changed
 * its user (which clears the parent-death signal).
 */
#include "tests/story/actor.h"

#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/raw.h"

struct world self;
struct board *board;

static struct actor *actors;                                  /* the test's list of them */
/* in the actor: orders steps, see the header */
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
/* in the actor: the lane of a forked child */
static int fork_fd = -1;
/* in the actor: its ends of its lanes */
static int served[ACTOR_LANES];
static unsigned n_served;

/* ---- in the actor ---- */

static void settle(void)
{
	(void)pthread_mutex_lock(&order);
	(void)pthread_mutex_unlock(&order);
}

static void reply(int fd, const struct step *s)
{
	/* not send() and recv(), which a test of the library may let fail */
	if (sendto(fd, s, sizeof(*s), MSG_NOSIGNAL, NULL, 0) != (ssize_t)sizeof(*s))
		_exit(98);
}

/* Runs the steps of one lane until the test hangs up. */
static void serve(int fd)
{
	struct step s = { .value = (uint64_t)gettid() };

	reply(fd, &s);
	while (recvfrom(fd, &s, sizeof(s), 0, NULL, NULL) == (ssize_t)sizeof(s)) {
		uint64_t began = now_ns();

		settle();
		s.result = s.run(&s);
		s.took_ns = now_ns() - began;
		settle();
		reply(fd, &s);
	}
}

static void *lane_thread(void *arg)
{
	serve(*(int *)arg);
	return NULL;
}

static void close_lanes(void)
{
	for (unsigned i = 0; i < n_served; i++)
		close_fd(&served[i]);
	n_served = 0;
}

/* The child of an actor: one lane, and the world as it was. */
static int run_fork(struct step *s)
{
	pid_t pid;

	/* no other lane may hold it at that moment: the child would wait for a thread it has not */
	(void)pthread_mutex_lock(&order);
	pid = fork();
	(void)pthread_mutex_unlock(&order);
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close_lanes();
		serve(fork_fd);
		exit(0);
	}
	close_fd(&fork_fd);
	s->value = (uint64_t)pid;
	return 0;
}

/* ---- the test's side: making ---- */

void actors_forget(void)
{
	for (struct actor *a = actors; a; a = a->next) {
		for (unsigned i = 0; i < a->n_lanes; i++)
			close_fd(&a->lane[i].fd);
		close_fd(&a->spare[0]);
		close_fd(&a->spare[1]);
		close_fd(&a->pidfd);
	}
	watch_close();
}

/* By cmocka and the stage; an actor that crashes shall just die. */
static const int caught[] = { SIGALRM, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS };

static void become_actor(int (*ends)[2], unsigned n_lanes, int child_fd,
			 int (*prepare)(const void *arg), const void *arg)
{
	pthread_t thread;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		(void)signal(caught[i], SIG_DFL);
	actors_forget();
	for (unsigned i = 0; i < n_lanes; i++) {
		close_fd(&ends[i][0]);
		served[i] = ends[i][1];
	}
	n_served = n_lanes;
	fork_fd = child_fd;
	r = prepare ? prepare(arg) : 0;
	if (r) {
		(void)dprintf(STDERR_FILENO, "an actor could not be prepared: %s\n", strerror(-r));
		_exit(97);
	}
	for (unsigned i = 1; i < n_lanes; i++) {
		if (pthread_create(&thread, NULL, lane_thread, &served[i]))
			_exit(96);
		(void)pthread_detach(thread);
	}
	serve(served[0]);
	exit(0);
}

/* The first thing a lane says is its thread's id. */
static void lane_greet(struct lane *l)
{
	l->busy = true;
	l->tid = (int)lane_finish(l).value;
}

static struct actor *actor_add(pid_t pid, bool ours)
{
	struct actor *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->pid = pid;
	a->ours = ours;
	a->spare[0] = a->spare[1] = -1;
	a->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	a->next = actors;
	actors = a;
	assert_true(a->pidfd >= 0);
	return a;
}

struct actor *actor_new_prepared(unsigned n_lanes, int (*prepare)(const void *arg), const void *arg)
{
	int ends[ACTOR_LANES][2], spare[2];
	struct actor *a;
	pid_t pid;

	assert_true(n_lanes >= 1 && n_lanes <= ACTOR_LANES);
	for (unsigned i = 0; i < n_lanes; i++)
		assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends[i]));
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, spare));
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(spare[0]);
		become_actor(ends, n_lanes, spare[1], prepare, arg);
	}
	a = actor_add(pid, true);
	a->n_lanes = n_lanes;
	a->spare[0] = spare[0];
	(void)close(spare[1]);
	for (unsigned i = 0; i < n_lanes; i++) {
		(void)close(ends[i][1]);
		a->lane[i] = (struct lane){ .actor = a, .fd = ends[i][0] };
	}
	for (unsigned i = 0; i < n_lanes; i++)
		lane_greet(&a->lane[i]);
	return a;
}

struct actor *actor_new(unsigned n_lanes)
{
	return actor_new_prepared(n_lanes, NULL, NULL);
}

struct identity {
	uid_t uid;
	gid_t gid;
};

static int become(const void *arg)
{
	const struct identity *who = arg;

	if (setgroups(0, NULL) < 0 || setresgid(who->gid, who->gid, who->gid) < 0 ||
	    setresuid(who->uid, who->uid, who->uid) < 0)
		return -errno;
	(void)prctl(PR_SET_DUMPABLE, 1); /* so that its own /proc/self is still its own */
	return 0;
}

struct actor *actor_new_as(unsigned n_lanes, uid_t uid, gid_t gid)
{
	struct identity who = { uid, gid };

	return actor_new_prepared(n_lanes, become, &who);
}

struct actor *actor_fork(struct actor *parent)
{
	struct step s = lane_run(&parent->lane[0], (struct step){ .run = run_fork });
	struct actor *a;

	EXPECT(0, s.result);
	assert_true(parent->spare[0] >= 0 && "an actor forks once");
	a = actor_add((pid_t)s.value, false);
	a->n_lanes = 1;
	a->lane[0] = (struct lane){ .actor = a, .fd = take_fd(&parent->spare[0]) };
	lane_greet(&a->lane[0]);
	return a;
}

struct lane *lane_new(void)
{
	return &actor_new(1)->lane[0];
}

struct lane *lane_new_as(uid_t uid, gid_t gid)
{
	return &actor_new_as(1, uid, gid)->lane[0];
}

/* ---- steps ---- */

void lane_start(struct lane *l, struct step s)
{
	assert_false(l->busy);
	assert_int_equal(sizeof(s), send(l->fd, &s, sizeof(s), MSG_NOSIGNAL));
	l->busy = true;
}

struct step lane_finish(struct lane *l)
{
	struct step s;
	ssize_t n;

	assert_true(l->busy);
	do
		n = recv(l->fd, &s, sizeof(s), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(s)) {
		print_error("an actor died during a step\n");
		fail();
	}
	l->busy = false;
	return s;
}

int lane_result(struct lane *l)
{
	return lane_finish(l).result;
}

bool lane_done(const struct lane *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

struct lane *lane_first(struct lane *const l[], size_t n)
{
	struct pollfd p[64];

	assert_true(n <= ARRAY_SIZE(p));
	for (size_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = l[i]->busy ? l[i]->fd : -1, .events = POLLIN };
	while (poll(p, n, -1) < 0)
		assert_int_equal(EINTR, errno);
	for (size_t i = 0; i < n; i++)
		if (p[i].revents)
			return l[i];
	fail();
	return NULL;
}

struct step lane_run(struct lane *l, struct step s)
{
	lane_start(l, s);
	return lane_finish(l);
}

void lane_signal(const struct lane *l, int signo)
{
	(void)syscall(SYS_tgkill, l->actor->pid, l->tid, signo);
}

/* ---- ends ---- */

static void until_gone(const struct actor *a)
{
	struct pollfd p = { .fd = a->pidfd, .events = POLLIN };

	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
}

static int reap(struct actor *a)
{
	int status = 0;

	until_gone(a);
	if (waitpid(a->pid, &status, a->ours ? 0 : WNOHANG) != a->pid)
		status = 0; /* its own parent knows better */
	a->pid = 0;
	close_fd(&a->pidfd);
	return status;
}

static void hang_up(struct actor *a)
{
	for (unsigned i = 0; i < a->n_lanes; i++)
		close_fd(&a->lane[i].fd);
	close_fd(&a->spare[0]);
}

void actor_stop(struct actor *a)
{
	int status;

	assert_int_equal(0, kill(a->pid, SIGSTOP));
	assert_int_equal(a->pid, waitpid(a->pid, &status, WUNTRACED));
	assert_true(WIFSTOPPED(status));
	a->stopped = true;
}

void actor_continue(struct actor *a)
{
	assert_int_equal(0, kill(a->pid, SIGCONT));
	a->stopped = false;
}

void actor_kill(struct actor *a)
{
	assert_int_equal(0, kill(a->pid, SIGKILL));
	(void)reap(a);
	hang_up(a);
}

int actor_wait(struct actor *a)
{
	int status = reap(a);

	hang_up(a);
	return status;
}

void actor_quit(struct actor *a)
{
	assert_false(a->lane[0].busy);
	hang_up(a);
	assert_int_equal(0, reap(a));
}

/* 0, or -1 after saying how it ended. A busy lane 0 cannot exit, so such an actor is killed. */
static int actor_end(struct actor *a)
{
	bool killed = a->stopped || a->lane[0].busy;
	int status;

	if (killed)
		(void)kill(a->pid, SIGKILL);
	hang_up(a);
	status = reap(a);
	if (killed || status == 0)
		return 0;
	print_error("an actor ended with wait status 0x%x\n", status);
	return -1;
}

void actors_begin(void)
{
	if (!board)
		board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(MAP_FAILED, board);
	memset(board, 0, sizeof(*board));
}

int actors_end(void)
{
	int r = 0;

	/* The list is newest first, so a forked child ends before its parent. */
	while (actors) {
		struct actor *a = actors;

		if (a->pid && actor_end(a) < 0)
			r = -1;
		hang_up(a);
		close_fd(&a->pidfd);
		actors = a->next;
		free(a);
	}
	return r;
}

void actors_kill_all(void)
{
	for (struct actor *a = actors; a; a = a->next)
		if (a->pid)
			(void)kill(a->pid, SIGKILL);
}
