// No bug can be planted: what every program gets that does not bring its own (planted.hpp). A member of the library by
// itself: a program that defines these names does not take it.
#include "protocol/planted.hpp"

namespace understudy::planted {

const bool kPlantable = false;

bool active(std::string_view) { return false; }

}  // namespace understudy::planted
