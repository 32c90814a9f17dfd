// A window speaks of pictures, doors and links in the viewer's words. No thread.
#pragma once

namespace understudy::viewer {}

namespace understudy::window {
using namespace viewer;  // the names of both are disjoint
}
