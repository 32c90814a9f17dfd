// See lettering.hpp.
#include "client/terminal/lettering.hpp"

#include <fontconfig/fontconfig.h>

namespace understudy::terminal {
namespace {

/// The file behind the system's sans serif; empty if there is no font at all.
std::string sans_serif() {
    if (FcInit() == FcFalse) return {};
    FcPattern* wanted = FcNameParse(reinterpret_cast<const FcChar8*>("sans:scalable=true"));
    FcConfigSubstitute(nullptr, wanted, FcMatchPattern);
    FcDefaultSubstitute(wanted);
    FcResult result = FcResultNoMatch;
    FcPattern* found = FcFontMatch(nullptr, wanted, &result);
    FcChar8* file = nullptr;
    std::string path;
    if (found != nullptr && FcPatternGetString(found, FC_FILE, 0, &file) == FcResultMatch) {
        path = reinterpret_cast<const char*>(file);
    }
    if (found != nullptr) FcPatternDestroy(found);
    FcPatternDestroy(wanted);
    return path;
}

}  // namespace

Result<std::unique_ptr<Lettering>> Lettering::open(const std::string& font_file, int height_px) {
    const std::string path = font_file.empty() ? sans_serif() : font_file;
    if (path.empty()) {
        return failure(ErrorCode::not_found, "there is no font on this computer: install one (fonts-dejavu-core), or name a file with --font");
    }
    if (TTF_Init() != 0) return failure(ErrorCode::failed, std::string("SDL_ttf does not start: ") + TTF_GetError());
    std::unique_ptr<Lettering> lettering(new Lettering);
    lettering->font_ = TTF_OpenFont(path.c_str(), height_px);
    if (lettering->font_ == nullptr) {
        return failure(ErrorCode::failed, "the font " + path + " cannot be used: " + TTF_GetError());
    }
    TTF_SetFontWrappedAlign(lettering->font_, TTF_WRAPPED_ALIGN_CENTER);
    return lettering;
}

Lettering::~Lettering() {
    forget();
    if (font_ != nullptr) TTF_CloseFont(font_);
    TTF_Quit();
}

void Lettering::forget() {
    if (texture_ != nullptr) SDL_DestroyTexture(texture_);
    texture_ = nullptr;
    text_.clear();
}

SDL_Texture* Lettering::texture(SDL_Renderer* renderer, const std::string& text, int width_px, SDL_Color colour) {
    if (texture_ != nullptr && text == text_ && width_px == width_px_) return texture_;
    forget();
    if (text.empty()) return nullptr;
    SDL_Surface* drawn = TTF_RenderUTF8_Blended_Wrapped(font_, text.c_str(), colour, static_cast<Uint32>(width_px));
    if (drawn == nullptr) return nullptr;
    size_ = {drawn->w, drawn->h};
    texture_ = SDL_CreateTextureFromSurface(renderer, drawn);
    SDL_FreeSurface(drawn);
    text_ = text;
    width_px_ = width_px;
    return texture_;
}

}  // namespace understudy::terminal
