/*
 * boost.cc: a managed_shared_memory of Boost.Interprocess
 *
 * The only file that knows Boost. The name is gone as soon as the memory is mapped, so nothing is
 * left behind however the process ends.
 */
#include "bench/boost.h"

#include <cerrno>
#include <string>

#include <unistd.h>

#include <boost/interprocess/managed_shared_memory.hpp>

namespace bi = boost::interprocess;

static bi::managed_shared_memory *memory;

int boost_begin(uint64_t bytes)
{
	const std::string name = "heapd-bench-" + std::to_string(getpid());

	try {
		memory = new bi::managed_shared_memory(bi::create_only, name.c_str(), bytes);
	} catch (const bi::interprocess_exception &e) {
		return e.get_native_error() ? -e.get_native_error() : -ENOMEM;
	}
	bi::shared_memory_object::remove(name.c_str());
	return 0;
}

void *boost_get(size_t size)
{
	return memory->allocate(size, std::nothrow);
}

void boost_put(void *block)
{
	memory->deallocate(block);
}
