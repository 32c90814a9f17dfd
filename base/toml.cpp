// The TOML library, compiled once: everybody else includes its declarations alone.
#define TOML_IMPLEMENTATION
#include <toml++/toml.h>
