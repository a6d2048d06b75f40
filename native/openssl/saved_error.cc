#include "saved_error.h"

namespace keyless {

void SavedError::Take() {
  const char *file, *function, *text;
  int flags;
  code_ = ERR_get_error_all(&file, &line_, &function, &text, &flags);
  if (code_ == 0) return;
  file_ = file;
  function_ = function;
  text_ = (flags & ERR_TXT_STRING) != 0 ? text : "";
  ERR_clear_error();
}

void SavedError::PutBack() const {
  ERR_clear_error();
  if (code_ == 0) return;
  ERR_new();
  ERR_set_debug(file_.c_str(), line_, function_.c_str());
  ERR_set_error(ERR_GET_LIB(code_), ERR_GET_REASON(code_), text_.empty() ? nullptr : "%s", text_.c_str());
}

}  // namespace keyless
