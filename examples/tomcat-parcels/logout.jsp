<%@ page session="false" trimDirectiveWhitespaces="true" %>
<%
    HttpSession session = request.getSession(false);
    if (session != null) session.invalidate();
    response.sendRedirect(request.getContextPath() + "/");
%>
