/* SPDX-License-Identifier: ISC */
/*
 * The folders, the lock and the control socket of a lictord. The lock is taken first, so
 * a socket that is found there is always a dead one's and may be replaced. The socket is
 * the runner's, which lends it to each agent: who connects while the agent is started again
 * waits in its queue. Anybody may connect; what he may do is judged by his credentials.
 */
#include "agent/runner/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/lock.h"
#include "agent/base/log.h"
#include "agent/base/paths.h"
#include "agent/base/util.h"
#include "agent/runner/privileges.h"

#define BACKLOG 16

static int
make_folder(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	int error = errno;
	log_error("runner", "cannot make the folder %s: %s", path, strerror(error));
	return -error;
}

static int give_folder(int fd, const struct privileges *agent);

static int
give_entry(int fd, const char *name, const struct privileges *agent)
{
	struct stat st;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_uid != geteuid())
		return 0;
	if (S_ISDIR(st.st_mode)) {
		AUTO_CLOSE int below =
		    openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return below < 0 ? -errno : give_folder(below, agent);
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	return fchownat(fd, name, agent->uid, agent->gid, AT_SYMLINK_NOFOLLOW) == 0
	    ? 0
	    : -errno;
}

/* What an older lictord left there as root, and what is in its folders; each folder is given
 * away last, so until then nobody else can have put something there. */
static int
give_folder(int fd, const struct privileges *agent)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int error = 0;

	if (copy < 0)
		return -errno;
	DIR *dir = fdopendir(copy);
	if (dir == NULL)
		out_of_memory();
	while (error == 0 && (entry = readdir(dir)) != NULL)
		error = give_entry(fd, entry->d_name, agent);
	closedir(dir);
	if (error == 0 && fchown(fd, agent->uid, agent->gid) != 0)
		error = -errno;
	return error;
}

static int
give_own_folder(const char *path, const struct privileges *agent)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return -errno;
	return st.st_uid == geteuid() ? give_folder(fd, agent) : 0;
}

/* A folder that another user than ours owns has been thought of. */
static int
give(const char *path, const struct privileges *agent)
{
	int error = agent->change ? give_own_folder(path, agent) : 0;

	if (error != 0)
		log_error("runner", "cannot give the folder %s to the agent's user: %s",
		    path, strerror(-error));
	return error;
}

/* The state folder, and of the runtime folder, which stays ours, one below it. */
static int
give_folders(const struct privileges *agent)
{
	AUTO_FREE char *state = path_state(NULL);
	AUTO_FREE char *runtime = path_runtime(PATH_OF_AGENT);
	int error = make_folder(runtime, 0700);

	if (error == 0)
		error = give(runtime, agent);
	return error != 0 ? error : give(state, agent);
}

static int
make_folders(void)
{
	AUTO_FREE char *runtime = path_runtime(NULL);
	AUTO_FREE char *state = path_state(NULL);
	int error = make_folder(runtime, 0755);

	return error != 0 ? error : make_folder(state, 0755);
}

static int
take_lock(void)
{
	AUTO_FREE char *path = path_runtime("lictord.lock");
	int fd = lock_file(path, 0);

	if (fd == -EWOULDBLOCK)
		log_error("runner", "another lictord runs already: it holds %s", path);
	else if (fd < 0)
		log_error("runner", "cannot lock %s: %s", path, strerror(-fd));
	return fd;
}

/* A socket that listens at `path`, or -errno. */
static int
listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!str_copy(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    chmod(path, 0666) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	int error = errno;
	close(fd);
	return -error;
}

static int
open_control(void)
{
	AUTO_FREE char *path = path_runtime("lictor.sock");
	int fd = listen_at(path);

	if (fd < 0)
		log_error("runner", "cannot listen at %s: %s", path, strerror(-fd));
	return fd;
}

/* No two files of a machine, in whatever container, have the same. */
static uint64_t
identify(int fd)
{
	struct stat st = { 0 };

	fstat(fd, &st);
	const uint64_t numbers[] = { st.st_dev, st.st_ino };
	return fnv1a64(numbers, sizeof(numbers));
}

int
place_take(struct place *place, const struct privileges *agent)
{
	int error = make_folders();
	if (error != 0)
		return error;
	if (place->lock_fd < 0)
		place->lock_fd = take_lock();
	if (place->lock_fd < 0)
		return place->lock_fd;
	error = give_folders(agent);
	if (error != 0)
		return error;
	place->id = identify(place->lock_fd);
	if (place->control_fd < 0)
		place->control_fd = open_control();
	return place->control_fd < 0 ? place->control_fd : 0;
}

void
place_leave(struct place *place)
{
	AUTO_FREE char *path = path_runtime("lictor.sock");

	if (place->control_fd >= 0) {
		unlink(path);
		close(place->control_fd);
	}
	if (place->lock_fd >= 0)
		close(place->lock_fd);
	place->lock_fd = place->control_fd = -1;
}
