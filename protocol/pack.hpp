// Turns any struct with UNDERSTUDY_FIELDS into a msgpack map and back, inside limits.hpp.
// Heavy: include it in .cpp files only. Pure; any thread.
#pragma once

#include <type_traits>
#include <vector>

#include <msgpack.hpp>

#include "protocol/codec.hpp"
#include "protocol/ids.hpp"
#include "protocol/limits.hpp"
#include "protocol/result.hpp"

namespace understudy::pack {

template <class T>
concept Structure = requires(T& value, int& visit) { &T::template each_field<T, int>; };

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsId : std::false_type {};
template <class Tag>
struct IsId<Id<Tag>> : std::true_type {};

/// Counts what a map will hold.
struct Counter {
    std::uint32_t fields = 0;
    template <class T>
    void operator()(const char*, const T&) { ++fields; }
};

template <class Buffer>
class Writer {
  public:
    explicit Writer(Buffer& buffer) : packer_(buffer) {}

    template <class T>
    void write(const T& value) {
        if constexpr (IsId<T>::value) {
            packer_.pack_uint64(value.value);
        } else if constexpr (std::is_same_v<T, bool>) {
            value ? packer_.pack_true() : packer_.pack_false();
        } else if constexpr (std::is_enum_v<T>) {
            packer_.pack_uint32(static_cast<std::uint32_t>(value));
        } else if constexpr (std::is_unsigned_v<T>) {
            packer_.pack_uint64(value);
        } else if constexpr (std::is_integral_v<T>) {
            packer_.pack_int64(value);
        } else if constexpr (std::is_same_v<T, std::string>) {
            packer_.pack_str(static_cast<std::uint32_t>(value.size()));
            packer_.pack_str_body(value.data(), static_cast<std::uint32_t>(value.size()));
        } else if constexpr (IsVector<T>::value) {
            packer_.pack_array(static_cast<std::uint32_t>(value.size()));
            for (const auto& item : value) write(item);
        } else {
            Counter counter;
            T::each_field(value, counter);
            packer_.pack_map(counter.fields);
            T::each_field(value, *this);
        }
    }

    template <class T>
    void operator()(const char* name, const T& value) {
        const auto length = static_cast<std::uint32_t>(std::char_traits<char>::length(name));
        packer_.pack_str(length);
        packer_.pack_str_body(name, length);
        write(value);
    }

  private:
    msgpack::packer<Buffer> packer_;
};

/// Reads one map's fields. Fields are usually in the order they were written, so each look-up starts
/// where the last one ended; a message from another version still decodes, only slower.
class Reader {
  public:
    Reader(const msgpack::object_map& map, std::string& problem) : map_(map), problem_(problem) {}

    template <class T>
    void operator()(const char* name, T& value) {
        if (!problem_.empty()) return;
        if (const msgpack::object* found = find(name)) {
            if (!read(*found, value, problem_) && problem_.empty()) problem_ = name;
        }
    }

    /// False, with `problem` naming the field, when the object does not fit the type.
    template <class T>
    static bool read(const msgpack::object& object, T& value, std::string& problem) {
        if constexpr (IsId<T>::value) {
            return read(object, value.value, problem);
        } else if constexpr (std::is_same_v<T, bool>) {
            if (object.type != msgpack::type::BOOLEAN) return false;
            value = object.via.boolean;
            return true;
        } else if constexpr (std::is_enum_v<T>) {
            std::uint8_t number = 0;
            if (!read(object, number, problem)) return false;
            value = static_cast<T>(number);
            return true;
        } else if constexpr (std::is_integral_v<T>) {
            return read_integer(object, value);
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (object.type != msgpack::type::STR) return false;
            value.assign(object.via.str.ptr, object.via.str.size);
            return true;
        } else if constexpr (IsVector<T>::value) {
            if (object.type != msgpack::type::ARRAY) return false;
            value.resize(object.via.array.size);
            for (std::uint32_t i = 0; i < object.via.array.size; ++i) {
                if (!read(object.via.array.ptr[i], value[i], problem)) return false;
            }
            return true;
        } else {
            if (object.type != msgpack::type::MAP) return false;
            Reader nested(object.via.map, problem);
            T::each_field(value, nested);
            return problem.empty();
        }
    }

  private:
    template <class T>
    static bool read_integer(const msgpack::object& object, T& value) {
        if (object.type == msgpack::type::POSITIVE_INTEGER) {
            if (!std::in_range<T>(object.via.u64)) return false;
            value = static_cast<T>(object.via.u64);
            return true;
        }
        if (object.type == msgpack::type::NEGATIVE_INTEGER) {
            if (!std::in_range<T>(object.via.i64)) return false;
            value = static_cast<T>(object.via.i64);
            return true;
        }
        return false;
    }

    const msgpack::object* find(const char* name) {
        const std::string_view wanted(name);
        for (std::uint32_t step = 0; step < map_.size; ++step) {
            const std::uint32_t at = next_ + step < map_.size ? next_ + step : next_ + step - map_.size;
            const msgpack::object& key = map_.ptr[at].key;
            if (key.type == msgpack::type::STR && key.via.str.size == wanted.size() &&
                std::string_view(key.via.str.ptr, key.via.str.size) == wanted) {
                next_ = at + 1 < map_.size ? at + 1 : 0;
                return &map_.ptr[at].val;
            }
        }
        return nullptr;
    }

    const msgpack::object_map& map_;
    std::string& problem_;
    std::uint32_t next_ = 0;
};

/// Something that appends to a byte vector, in the form msgpack writes to.
class Appender {
  public:
    explicit Appender(Bytes& bytes) : bytes_(bytes) {}
    void write(const char* data, std::size_t size) { bytes_.insert(bytes_.end(), data, data + size); }

  private:
    Bytes& bytes_;
};

/// Appends the msgpack form of `value`.
template <class T>
void append(Bytes& bytes, const T& value) {
    Appender appender(bytes);
    Writer<Appender>(appender).write(value);
}

/// Reads a msgpack map from all of `bytes`. Errors: `limit`, `invalid`; messages say what is wrong.
template <class T>
[[nodiscard]] Result<T> parse(BytesView bytes) {
    static const msgpack::unpack_limit bounds(limits::kArrayItems, limits::kMapItems, limits::kStringBytes,
                                              limits::kStringBytes, 0, limits::kDepth);
    try {
        msgpack::zone zone(1024);
        std::size_t offset = 0;
        bool referenced = false;
        const msgpack::object object = msgpack::unpack(
            zone, reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, referenced,
            [](msgpack::type::object_type, std::size_t, void*) { return true; }, nullptr, bounds);
        if (offset != bytes.size()) return failure(ErrorCode::invalid, "bytes left over behind the message");
        if (object.type != msgpack::type::MAP) return failure(ErrorCode::invalid, "a message is a map");
        T value;
        std::string problem;
        Reader reader(object.via.map, problem);
        T::each_field(value, reader);
        if (!problem.empty()) return failure(ErrorCode::invalid, "field '" + problem + "' has a wrong type");
        return value;
    } catch (const msgpack::size_overflow& error) {
        return failure(ErrorCode::limit, std::string("a bound was exceeded: ") + error.what());
    } catch (const std::exception& error) {
        return failure(ErrorCode::invalid, std::string("not msgpack: ") + error.what());
    }
}

}  // namespace understudy::pack
