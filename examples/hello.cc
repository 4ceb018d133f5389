// hello.cc: the library from C++: a heap of this process alone, owned by an object
//
// It takes blocks of a fixed pool until the pool is empty, and shows that the pool gives exactly
// what was asked for: 16384 bytes are two blocks of 8192.
#include <cerrno>
#include <cstring>
#include <iostream>
#include <system_error>
#include <heapclient/heapclient.h>
#include <heapclient/rt_heap.h>

namespace {

class Pool {
public:
	explicit Pool(std::size_t bytes)
	{
		if (const int r = rt_heap_create(&heap_, nullptr, bytes, H_PRIO); r < 0)
			throw std::system_error(-r, std::generic_category(), "rt_heap_create");
	}
	~Pool() { rt_heap_delete(&heap_); }
	Pool(const Pool &) = delete;
	Pool &operator=(const Pool &) = delete;

	void *take(std::size_t bytes) // nullptr: nothing free now
	{
		void *block = nullptr;
		const int r = rt_heap_alloc(&heap_, bytes, TM_NONBLOCK, &block);

		if (r < 0 && r != -EWOULDBLOCK)
			throw std::system_error(-r, std::generic_category(), "rt_heap_alloc");
		return block;
	}

private:
	RT_HEAP heap_{};
};

} // namespace

int main()
{
	try {
		Pool pool(16384);
		int blocks = 0;

		while (void *block = pool.take(8192)) {
			std::memset(block, 'x', 8192);
			blocks++;
		}
		std::cout << "libheapclient " << heapclient_version() << ": " << blocks
			  << " blocks of 8192 bytes in a heap of 16384\n";
		return blocks == 2 ? 0 : 1;
	} catch (const std::system_error &e) {
		std::cerr << "hello: " << e.what() << "\n";
		return 1;
	}
}
