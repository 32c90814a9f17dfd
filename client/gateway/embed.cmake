# Writes a C++ file with the pages as byte arrays, so that the gateway is one file and cannot run with
# pages of another version. Called with -DOUT=FILE -DDIR=DIR -DNAMES="a;b".
set(text "// Made by embed.cmake from client/gateway/pages.\n#include \"client/gateway/assets.hpp\"\n\nnamespace understudy::gateway {\nnamespace {\n\n")
set(table "")
set(number 0)
foreach(name IN LISTS NAMES)
  file(READ "${DIR}/${name}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND text "constexpr unsigned char kBytes${number}[] = {${bytes}0};\n")
  string(APPEND table "    {\"${name}\", {reinterpret_cast<const char*>(kBytes${number}), sizeof kBytes${number} - 1}},\n")
  math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "\n}  // namespace\n\nconst std::map<std::string, std::string_view>& embedded_pages() {\n    static const std::map<std::string, std::string_view> kPages = {\n${table}    };\n    return kPages;\n}\n\n}  // namespace understudy::gateway\n")
file(WRITE "${OUT}" "${text}")
