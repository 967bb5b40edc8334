/* Starts Swagger UI on /docs: a file of its own, because our policy runs no script that is written into a page. */
(() => {
  "use strict";

  const place = document.getElementById("swagger-ui");
  window.SwaggerUIBundle({
    url: place.dataset.schema,
    domNode: place,
    deepLinking: true,
    validatorUrl: null, // the stock one is another host
  });
})();
