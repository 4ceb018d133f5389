/*
 * run.c: heapctl run: a command with a heapd of its own, as dbus-run-session does for D-Bus
 *
 * The command is this process's child in its own process group, so the terminal treats it as if it
 * had been started directly. All signals are blocked here and read one by one: what would end this
 * process is passed on to the command, and the end of the command ends everything.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "heapctl/command.h"
#include "heapctl/private.h"

struct running {
	struct options *options; /* (for the parser; none is used) */
	const char *config;
	bool verbose;
	char **command;
};

enum { EXIT_CANNOT = 126, EXIT_MISSING = 127, EXIT_SIGNAL = 128 };

static const struct argp_option options[] = {
	{.name = "config", .key = 'c', .arg = "FILE", .doc = "Its heapd.conf (default: none, whatever this machine has)"},
	{.name = "verbose", .key = 'v', .doc = "Show its log on stderr"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct running *r = state->input;

	switch (key) {
	case 'c':
		r->config = arg;
		return 0;
	case 'v':
		r->verbose = true;
		return 0;
	case ARGP_KEY_ARGS:
		r->command = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "[--] COMMAND [ARGUMENT...]",
	.doc = "Starts a heapd of its own on a temporary socket, runs COMMAND with HEAPD_SOCKET set to "
	       "it, and ends the heapd when COMMAND ends. The heapd is the one that the environment "
	       "variable HEAPD names, else the one beside heapctl, in PATH, or installed.\v"
	       "The exit status is COMMAND's, or 128 and the number of the signal that killed it; 127 "
	       "if there is no such command, 126 if it cannot be run.",
};

/* Should heapctl be killed, its heapd goes; the command is told to go too. */
static _Noreturn void become_command(char **command, const sigset_t *mask, pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	(void)execvp(command[0], command);
	(void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, command[0],
		      strerror(errno));
	_exit(errno == ENOENT ? EXIT_MISSING : EXIT_CANNOT);
}

/* What a terminal sends has reached the command already, which is in the same process group. */
static void pass_on(pid_t command, const siginfo_t *info)
{
	bool from_terminal =
		info->si_code == SI_KERNEL &&
		(info->si_signo == SIGINT || info->si_signo == SIGQUIT || info->si_signo == SIGHUP);

	if (!from_terminal)
		(void)kill(command, info->si_signo);
}

/* Reaps what has ended; whether the command is among it. */
static bool reap(pid_t command, struct private *heapd, int *command_status)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == command) {
			*command_status = status;
			ended = true;
		} else if (pid == heapd->pid) {
			private_ended(heapd, status);
		}
	}
	return ended;
}

static int wait_for_end(pid_t command, struct private *heapd, const sigset_t *signals)
{
	int status = 0;

	for (;;) {
		siginfo_t info;

		if (sigwaitinfo(signals, &info) < 0)
			continue; /* EINTR: stopped and continued */
		if (info.si_signo != SIGCHLD)
			pass_on(command, &info);
		else if (reap(command, heapd, &status))
			return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status)
						   : WEXITSTATUS(status);
	}
}

static void choose_signals(sigset_t *set)
{
	static const int signals[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

	(void)sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(set, signals[i]);
}

int command_run(int argc, char **argv, struct options *o)
{
	struct running r = {.options = o};
	struct private heapd;
	sigset_t signals, before;
	pid_t command, self = getpid();
	int status;

	(void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &r);
	choose_signals(&signals);
	(void)signal(SIGCHLD, SIG_DFL); /* somebody may have left it ignored: then nothing could be waited for */
	(void)sigprocmask(SIG_BLOCK, &signals, &before);
	private_start(&heapd, r.config, r.verbose);
	if (setenv("HEAPD_SOCKET", heapd.socket, 1) < 0)
		fail("%s", strerror(errno));
	command = fork();
	if (command == 0)
		become_command(r.command, &before, self);
	if (command < 0) {
		(void)fprintf(stderr, "%s: cannot run %s: %s\n", program_invocation_short_name,
			      r.command[0], strerror(errno));
		status = EXIT_FAILURE;
	} else {
		status = wait_for_end(command, &heapd, &signals);
	}
	private_stop(&heapd);
	return status;
}
