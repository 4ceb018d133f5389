/*
 * socket.c: see socket.h
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "config-heapd.h"
#include "daemon/log.h"
#include "daemon/socket.h"

#define BACKLOG 4096 /* a thousand processes may start at once; the kernel cuts it to somaxconn */
#define LOCK_TRIES 10

static int failed(const char *path, int r, const char *what)
{
	log_error("%s: %s: %s", path, what, strerror(-r));
	return r;
}

/* The directory of path, made if need be. Mode 0755: clients of every user pass through. */
static int make_directory(const char *path)
{
	_cleanup_free_ char *dir = strndup(path, (size_t)(strrchr(path, '/') - path));

	if (!dir)
		return -ENOMEM;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return access(dir, W_OK | X_OK) < 0 ? -errno : 0;
}

int socket_default_path(char **out)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *path = strdup(HEAPD_SOCKET_PATH);
	int r = path ? make_directory(path) : -ENOMEM;

	if (r < 0 && r != -ENOMEM && runtime && *runtime == '/') {
		free(path);
		path = NULL;
		if (asprintf(&path, "%s/heapd/heapd.sock", runtime) < 0)
			path = NULL;
		r = path ? make_directory(path) : -ENOMEM;
	}
	if (r < 0)
		return failed(path ? path : HEAPD_SOCKET_PATH, r, "no place for the socket; give --socket");
	*out = take(path);
	return 0;
}

/* Locks the file that has that name now: a predecessor may have removed the one we opened. */
static int lock(struct socket_file *s)
{
	struct stat ours, there;

	for (int i = 0; i < LOCK_TRIES; i++) {
		close_fd(&s->lock_fd);
		s->lock_fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->lock_fd < 0)
			return -errno;
		if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		if (fstat(s->lock_fd, &ours) < 0)
			return -errno;
		if (!stat(s->lock_path, &there) && there.st_dev == ours.st_dev && there.st_ino == ours.st_ino) {
			s->locked = true;
			return 0;
		}
	}
	return -EADDRINUSE;
}

/* Somebody may listen without our lock: systemd for heapd.socket. */
static int remove_stale(const struct sockaddr_un *addr)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) || errno == EAGAIN)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(addr->sun_path) < 0 ? -errno : 0;
}

/* It has its mode from the start, so that who connects meanwhile is told that nobody listens, and never to keep out. */
static int bind_listen(struct socket_file *s, const struct sockaddr_un *addr, mode_t mode, int *out)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;
	mode_t mask;
	int r;

	if (fd < 0)
		return -errno;
	mask = umask(0777 & ~mode);
	r = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return r;
	if (lstat(addr->sun_path, &st) < 0)
		return -errno;
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	if (listen(fd, BACKLOG) < 0)
		return -errno;
	*out = take_fd(&fd);
	return 0;
}

int socket_file_listen(struct socket_file *s, const char *path, mode_t mode, int *fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return failed(path, -ENAMETOOLONG, "cannot listen");
	strcpy(addr.sun_path, path);
	s->path = strdup(path);
	if (!s->path || asprintf(&s->lock_path, "%s.lock", path) < 0) {
		s->lock_path = NULL;
		return failed(path, -ENOMEM, "cannot listen");
	}
	r = lock(s);
	if (!r)
		r = remove_stale(&addr);
	if (!r)
		r = bind_listen(s, &addr, mode, fd);
	if (r == -EADDRINUSE)
		log_error("%s: heapd is already running", path);
	else if (r == -EEXIST)
		log_error("%s: exists and is no socket", path);
	else if (r < 0)
		return failed(path, r, "cannot listen");
	return r;
}

static bool is_ours(const struct socket_file *s)
{
	struct stat st;

	return s->ino && !lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino;
}

/* The lock goes last, and its file while we still hold it: see lock(). */
void socket_file_deinit(struct socket_file *s)
{
	if (s->path && is_ours(s))
		(void)unlink(s->path);
	if (s->locked)
		(void)unlink(s->lock_path);
	close_fd(&s->lock_fd);
	free(s->path);
	free(s->lock_path);
	*s = (struct socket_file)SOCKET_FILE_NULL;
}

int socket_connect(int *out, const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	_cleanup_fd_ int fd = -1;

	if (n < 2 || n >= sizeof(to.sun_path) || (*path != '/' && *path != '@'))
		return -EINVAL;
	memcpy(to.sun_path, path, n);
	if (*path == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return -errno;
	*out = take_fd(&fd);
	return 0;
}
