#include "saved_errors.h"

namespace keyless {

void SavedErrors::Take() {
  entries_.clear();
  const char *file, *function, *data;
  int line, flags;
  while (const unsigned long code = ERR_get_error_all(&file, &line, &function, &data, &flags)) {  // NOLINT(runtime/int)
    entries_.push_back({code, line, file, function, (flags & ERR_TXT_STRING) != 0 ? data : ""});
  }
}

void SavedErrors::PutBack() const {
  ERR_clear_error();
  for (const Entry& entry : entries_) {
    ERR_new();
    ERR_set_debug(entry.file.c_str(), entry.line, entry.function.c_str());
    const char* const format = entry.data.empty() ? nullptr : "%s";
    ERR_set_error(ERR_GET_LIB(entry.code), ERR_GET_REASON(entry.code), format, entry.data.c_str());
  }
}

}  // namespace keyless
