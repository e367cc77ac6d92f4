package serverchecks

import "ssegauge/conformance"

// HTTP is the answer to the nominal request: status, fields, framing, methods.
var HTTP = []conformance.Check{
	httpStatus,
	httpContentType,
	httpCharset,
	httpContentTypeSingle,
	httpNoContentLength,
	httpBodyFraming,
	httpErrorNot200,
	httpCapacity,
	httpHead,
	httpOptions,
	httpMethod,
	httpAllow,
	httpAcceptMissing,
	httpAcceptWildcard,
	httpAcceptList,
	httpAcceptRefused,
	httpCacheControl,
	httpNoTransform,
	httpXAccelBuffering,
	httpCodingNegotiated,
	httpCodingFlush,
	httpRedirect,
	httpHTTP10,
	httpKeepaliveHeader,
	httpSurvives,
}
